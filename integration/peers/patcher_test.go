package main

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
	"trireme/internal/contract"
)

// What the lean client puts together by hand is what the ordinary one sends.
func TestLeanPatchIsAPatch(t *testing.T) {
	p := newPatcher(3, nil)
	var m nats.Msg
	for seq := int32(2); seq < 12; seq++ {
		p.next(&m)
		var got contract.PatchRequest
		if err := json.Unmarshal(m.Data, &got); err != nil {
			t.Fatalf("%v: %s", err, m.Data)
		}
		if len(got.Patches) != 1 {
			t.Fatalf("%s: want one patch", m.Data)
		}
		u := got.Patches[0]
		want := adapter.Update{SeqBegin: seq, SeqEnd: seq, UpdateType: adapter.AddUserData, Redo: u.Redo, Undo: u.Undo}
		if got.Space != space || got.Key != "doc-0003" || !reflect.DeepEqual(u, want) || len(u.Redo)+len(u.Undo) != changeBytes {
			t.Errorf("%s", m.Data)
		}
	}
	if m.Subject != "adama.v1.patch" || m.Header.Get("Trireme-Request-Id") == "" {
		t.Errorf("subject %s, header %v", m.Subject, m.Header)
	}
	if err := p.check(&nats.Msg{Data: []byte("{}")}); err != nil {
		t.Error(err)
	}
	if err := p.check(&nats.Msg{Data: []byte("{}"), Header: nats.Header{"Trireme-Partition": {"07 1792-2047"}}}); err != nil {
		t.Error(err)
	}
	if p.next(&m); m.Subject != "adama.v1.p.07.patch" {
		t.Errorf("subject %s, after the way was told", m.Subject)
	}
	if err := p.check(&nats.Msg{Header: nats.Header{"Nats-Service-Error-Code": {"1500002"}}}); err == nil {
		t.Error("a refusal passes for success")
	}
}
