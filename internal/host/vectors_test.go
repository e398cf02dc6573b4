package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"trireme/adapter"
	"trireme/internal/contract"
	"trireme/internal/merge"
)

// A vector is one recorded case of Adama's DataService; testdata/vectors.json
// holds them, the contract's section 6 explains them.
type vector struct {
	Name  string
	Tags  []string
	Steps []step
}

type step struct {
	Op     string
	Args   map[string]json.RawMessage
	Expect expectation
	Host   string
}

type expectation struct {
	OK      bool
	Error   contract.Code
	Patch   *string
	JSON    *string
	Reads   *int
	Seq     *int32
	Value   *int
	Keys    *[][2]string
	Updates []contract.Update
}

// An outcome is what a way of asking got.
type outcome struct {
	code  contract.Code
	patch string
	reads int
	seq   int32
	value int
	keys  [][2]string
}

// A way asks the operation of a step.
type way func(t *testing.T, s step) outcome

func TestVectors(t *testing.T) {
	r := newRig(t)
	for name, ask := range map[string]way{"raw requests": r.askRaw, "Go client": r.askClient} {
		t.Run(name, func(t *testing.T) {
			passed := 0
			vectors := loadVectors(t)
			for i, v := range vectors {
				prefix := fmt.Sprintf("%s-%d-", strings.ReplaceAll(name, " ", "-"), i)
				if t.Run(v.Name, func(t *testing.T) { r.play(t, v, prefix, ask) }) {
					passed++
				}
			}
			t.Logf("vectors by %s: %d of %d", name, passed, len(vectors))
		})
	}
}

func loadVectors(t *testing.T) []vector {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 84 {
		t.Fatalf("only %d vectors", len(list))
	}
	return list
}

func (r *rig) play(t *testing.T, v vector, prefix string, ask way) {
	for i, s := range v.Steps {
		var got outcome
		switch s.Op {
		case "restart":
			r.restart()
			continue
		case "merge", "compact_updates":
			playFunction(t, s)
			continue
		default:
			s.Args = prefixed(t, s.Args, prefix)
			got = ask(t, s)
		}
		check(t, fmt.Sprintf("step %d %s", i, s.Op), v, s, got, prefix)
	}
}

func check(t *testing.T, at string, v vector, s step, got outcome, prefix string) {
	t.Helper()
	want := s.Expect
	if got.code != want.Error {
		t.Fatalf("%s: code %d, want %d", at, got.code, want.Error)
	}
	if want.Patch != nil && !sameJSON(t, got.patch, *want.Patch, slices.Contains(v.Tags, "lexical")) {
		t.Errorf("%s: patch %s, want %s", at, got.patch, *want.Patch)
	}
	if want.Reads != nil && s.Op == "get" && got.reads != *want.Reads {
		t.Errorf("%s: reads %d, want %d", at, got.reads, *want.Reads)
	}
	if want.Seq != nil && got.seq != *want.Seq {
		t.Errorf("%s: seq %d, want %d", at, got.seq, *want.Seq)
	}
	if want.Value != nil && got.value != *want.Value {
		t.Errorf("%s: value %d, want %d", at, got.value, *want.Value)
	}
	if want.Keys != nil {
		mine := [][2]string{}
		for _, k := range got.keys {
			if space, ok := strings.CutPrefix(k[0], prefix); ok {
				mine = append(mine, [2]string{space, k[1]})
			}
		}
		if !reflect.DeepEqual(mine, *want.Keys) {
			t.Errorf("%s: keys %v, want %v", at, mine, *want.Keys)
		}
	}
}

func prefixed(t *testing.T, args map[string]json.RawMessage, prefix string) map[string]json.RawMessage {
	t.Helper()
	if args["space"] == nil {
		return args
	}
	var space string
	if err := json.Unmarshal(args["space"], &space); err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(prefix + space)
	if err != nil {
		t.Fatal(err)
	}
	args["space"] = quoted
	return args
}

func (r *rig) askRaw(t *testing.T, s step) outcome {
	a := r.ask(s.Op, s.Args)
	got := outcome{code: a.code}
	got.patch, _ = a.body["patch"].(string)
	if n, ok := a.body["reads"].(float64); ok {
		got.reads = int(n)
	}
	if n, ok := a.body["seq"].(float64); ok {
		got.seq = int32(n)
	}
	if n, ok := a.body["value"].(float64); ok {
		got.value = int(n)
	}
	if list, ok := a.body["keys"].([]any); ok {
		got.keys = [][2]string{}
		for _, k := range list {
			o := k.(map[string]any)
			got.keys = append(got.keys, [2]string{o["space"].(string), o["key"].(string)})
		}
	}
	return got
}

// arguments is every argument that a step may have.
type arguments struct {
	Space, Key string
	Patch      contract.Update
	Patches    []contract.Update
	Method     string
	Seq        int32
	JSON       string
	Document   string
	History    int32
	AssetBytes int64 `json:"asset_bytes"`
}

func (r *rig) askClient(t *testing.T, s step) outcome {
	data, err := json.Marshal(s.Args)
	if err != nil {
		t.Fatal(err)
	}
	var a arguments
	if err := json.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	c, err := adapter.NewClient(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var d adapter.Document
	var keys [][2]string
	switch s.Op {
	case contract.OpGet:
		d, err = c.Get(ctx, a.Space, a.Key)
	case contract.OpInitialize:
		err = c.Initialize(ctx, a.Space, a.Key, a.Patch)
	case contract.OpPatch:
		err = c.Patch(ctx, a.Space, a.Key, a.Patches)
	case contract.OpCompute:
		d, err = c.Compute(ctx, a.Space, a.Key, a.Method, a.Seq)
	case contract.OpSnapshot:
		err = c.Snapshot(ctx, adapter.SnapshotRequest{Space: a.Space, Key: a.Key, Seq: a.Seq, JSON: a.JSON, History: a.History, AssetBytes: a.AssetBytes})
	case contract.OpRecover:
		err = c.Recover(ctx, adapter.RecoverRequest{Space: a.Space, Key: a.Key, Seq: a.Seq, Document: a.Document})
	case contract.OpDelete:
		err = c.Delete(ctx, a.Space, a.Key)
	case contract.OpClose:
		err = c.CloseDocument(ctx, a.Space, a.Key)
	case contract.OpShed:
		err = c.Shed(ctx, a.Space, a.Key)
	case contract.OpInventory:
		keys = [][2]string{}
		var list []adapter.Key
		list, err = adapter.Collect(c.Inventory(ctx, adapter.InventoryRequest{}))
		for _, k := range list {
			keys = append(keys, [2]string{k.Space, k.Key})
		}
	default:
		t.Fatalf("operation %s", s.Op)
	}
	if err != nil && adapter.CodeOf(err) == 0 {
		t.Fatal(err)
	}
	return outcome{code: adapter.CodeOf(err), patch: d.Patch, reads: d.Reads, seq: d.Seq, keys: keys}
}

// playFunction checks the cases that are functions and no wire operations.
func playFunction(t *testing.T, s step) {
	t.Helper()
	if s.Op == "merge" {
		var docs []string
		var keepNulls bool
		unmarshal(t, s.Args["docs"], &docs)
		unmarshal(t, s.Args["keep_nulls"], &keepNulls)
		acc := merge.Accumulator{DropNulls: !keepNulls}
		for _, d := range docs {
			if err := acc.Add([]byte(d)); err != nil {
				t.Fatal(err)
			}
		}
		if got := string(acc.Bytes()); !sameJSON(t, got, *s.Expect.JSON, false) {
			t.Errorf("merge %q: %s, want %s", docs, got, *s.Expect.JSON)
		}
		return
	}
	var updates []adapter.Update
	unmarshal(t, s.Args["updates"], &updates)
	got, err := adapter.Compact(updates)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(s.Expect.Updates) {
		t.Fatalf("compact gives %d updates, want %d", len(got), len(s.Expect.Updates))
	}
	for i, want := range s.Expect.Updates {
		if want.Who == nil { // the case does not say
			want.Who, want.Request = got[i].Who, got[i].Request
		}
		if !reflect.DeepEqual(got[i], want) {
			t.Errorf("compact: update %d is %+v, want %+v", i, got[i], want)
		}
	}
}

func unmarshal(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// sameJSON compares as JSON values; lexically a number also equals its text.
func sameJSON(t *testing.T, a, b string, lexical bool) bool {
	t.Helper()
	read := func(s string) any {
		d := json.NewDecoder(bytes.NewReader([]byte(s)))
		if lexical {
			d.UseNumber()
		}
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%.200s: %v", s, err)
		}
		return v
	}
	return reflect.DeepEqual(numbers(read(a)), numbers(read(b)))
}

// numbers turns numbers, and texts that are numbers, into floats.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if errors.Is(err, strconv.ErrRange) {
			return string(v)
		}
		return f
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	}
	return v
}
