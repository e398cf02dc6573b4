package host

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
)

// The tries are 10,000 pairs of patches with the same seq_begin, sent at once on
// two connections: exactly one of each wins.
func TestOfTwoConcurrentPatchesOneWins(t *testing.T) {
	r := newRig(t)
	const tries, lanes = 10_000, 20
	other, err := nats.Connect(r.host.NATS())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var wg sync.WaitGroup
	won := make([]int, lanes)
	for lane := range lanes {
		key := fmt.Sprintf("race-%d", lane)
		r.must("initialize", doc("s", key, "patch", update(0, 1, `{"n":0}`, `{}`)))
		wg.Go(func() {
			for i := range tries / lanes {
				data, _ := json.Marshal(doc("s", key, "patches", []object{update(i+2, i+2, fmt.Sprintf(`{"n":%d}`, i+2), `{}`)}))
				var pair sync.WaitGroup
				var codes [2]string
				for c, nc := range []*nats.Conn{r.nc, other} {
					pair.Go(func() {
						reply, err := nc.Request("adama.v1.patch", data, patience)
						if err != nil {
							codes[c] = err.Error()
							return
						}
						codes[c] = reply.Header.Get(micro.ErrorCodeHeader)
					})
				}
				pair.Wait()
				one := codes == [2]string{"", "621580"} || codes == [2]string{"621580", ""}
				if !one {
					t.Errorf("%s try %d: answers %q, want one success and one 621580", key, i, codes)
					return
				}
				won[lane]++
			}
		})
	}
	wg.Wait()
	total := 0
	for lane, n := range won {
		total += n
		if a := r.must("get", doc("s", fmt.Sprintf("race-%d", lane))); a.body["seq"] != float64(n+1) || a.body["reads"] != float64(n+1) {
			t.Errorf("lane %d: seq %v and reads %v after %d patches", lane, a.body["seq"], a.body["reads"], n)
		}
	}
	t.Logf("%d of %d tries had exactly one winner", total, tries)
}

func TestResends(t *testing.T) {
	r := newRig(t)
	id := func(s string) []string { return []string{contract.HeaderRequestID, s} }
	create := doc("s", "k", "patch", update(0, 1, `{"a":1}`, `{}`))
	patch := doc("s", "k", "patches", []object{update(2, 2, `{"a":2}`, `{"a":1}`)})
	r.must("initialize", create, id("i1")...)
	r.must("patch", patch, id("p1")...)
	last := r.logLast()

	same := func(when string) {
		t.Helper()
		r.must("initialize", create, id("i1")...)
		r.must("patch", patch, id("p1")...)
		if a := r.must("get", doc("s", "k")); a.body["seq"] != 2.0 || a.body["reads"] != 2.0 {
			t.Errorf("%s: the document is %v", when, a.body)
		}
		if got := r.changesSince(last); got != 0 {
			t.Errorf("%s: resends have appended %d changes", when, got)
		}
	}
	same("at once")
	r.restart()
	last = r.logLast()
	same("after a restart")

	t.Run("another body", func(t *testing.T) {
		r.refused(contract.Malformed, "patch", doc("s", "k", "patches", []object{update(3, 3, `{"b":1}`, `{}`)}), id("p1")...)
		r.refused(contract.Malformed, "delete", doc("s", "k"), id("p1")...)
	})
	t.Run("a refused request leaves no id", func(t *testing.T) {
		r.refused(contract.HeadDiffers, "patch", doc("s", "k", "patches", []object{update(9, 9, `{}`, `{}`)}), id("p2")...)
		r.must("patch", doc("s", "k", "patches", []object{update(3, 3, `{"c":1}`, `{}`)}), id("p2")...)
	})
	t.Run("after snapshot, recover and delete", func(t *testing.T) {
		r.must("snapshot", doc("s", "k", "seq", 3, "json", `{"snap":1}`, "history", 1), id("s1")...)
		r.must("patch", patch, id("p1")...)
		r.must("recover", doc("s", "k", "seq", 50, "document", `{"r":1}`), id("r1")...)
		r.must("patch", patch, id("p1")...)
		r.must("snapshot", doc("s", "k", "seq", 3, "json", `{"snap":1}`, "history", 1), id("s1")...)
		r.must("delete", doc("s", "k"), id("d1")...)
		r.must("recover", doc("s", "k", "seq", 50, "document", `{"r":1}`), id("r1")...)
		r.refused(contract.NotFound, "get", doc("s", "k"))
		r.must("initialize", doc("s", "k", "patch", update(0, 7, `{"new":1}`, `{}`)), id("i2")...)
		r.must("delete", doc("s", "k"), id("d1")...)
		if a := r.must("get", doc("s", "k")); a.body["seq"] != 7.0 {
			t.Errorf("a late resend of a delete has done something: %v", a.body)
		}
	})
	t.Run("a delete of what is not there", func(t *testing.T) {
		r.must("delete", doc("s", "later"), id("d2")...)
		r.must("initialize", doc("s", "later", "patch", update(0, 1, `{}`, `{}`)))
		r.must("delete", doc("s", "later"), id("d2")...)
		r.must("get", doc("s", "later"))
	})
	t.Run("while the first is in flight", func(t *testing.T) {
		body, _ := json.Marshal(doc("s", "k", "patches", []object{update(8, 8, `{"x":1}`, `{}`)}))
		inbox := r.nc.NewRespInbox()
		sub, err := r.nc.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			m := &nats.Msg{Subject: "adama.v1.patch", Reply: inbox, Data: body, Header: nats.Header{contract.HeaderRequestID: {"p8"}}}
			if err := r.nc.PublishMsg(m); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			m, err := sub.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			if a := r.read(m); a.code != 0 {
				t.Errorf("a joined resend got %v", a.body)
			}
		}
	})
}

func (r *rig) logLast() uint64 { return r.host.Status().Stripes[0].Applied }

// changesSince counts the changes in the log after a sequence; barriers have none.
func (r *rig) changesSince(seq uint64) int {
	r.t.Helper()
	n := 0
	err := r.host.stripe("s1").log.Read(r.t.Context(), seq+1, r.logLast(), func(_ uint64, body []byte) error {
		for _, verb := range []string{"INIT ", "PATCH ", "SNAPSHOT ", "RECOVER ", "DELETE "} {
			n += strings.Count(string(body), "\r\n"+verb)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestTwoPhaseDelete(t *testing.T) {
	r := newRig(t)
	r.must("initialize", doc("s", "k", "patch", update(0, 1, `{"a":1}`, `{}`)))
	r.must("delete", doc("s", "none", "phase", "mark"))
	r.must("delete", doc("s", "k", "phase", "mark"))
	r.restart()
	for _, c := range []struct {
		op   string
		body any
	}{
		{"get", doc("s", "k")},
		{"initialize", doc("s", "k", "patch", update(0, 1, `{}`, `{}`))},
		{"patch", doc("s", "k", "patches", []object{update(2, 2, `{}`, `{}`)})},
		{"compute", doc("s", "k", "method", "HeadPatch", "seq", 0)},
		{"snapshot", doc("s", "k", "seq", 1, "json", `{}`, "history", 1)},
		{"recover", doc("s", "k", "seq", 1, "document", `{}`)},
		{"history", doc("s", "k")},
	} {
		r.refused(contract.BeingDeleted, c.op, c.body)
	}
	for _, op := range []string{"close", "shed", "locate"} {
		r.must(op, doc("s", "k"))
	}
	for _, op := range []string{"inventory", "deleting"} {
		if a := r.must(op, object{}); len(a.body["keys"].([]any)) != 1 {
			t.Errorf("%s lists %v", op, a.body)
		}
	}
	r.must("delete", doc("s", "k", "phase", "abort"))
	r.must("get", doc("s", "k"))
	if a := r.must("deleting", object{}); len(a.body["keys"].([]any)) != 0 {
		t.Errorf("deleting lists %v after the abort", a.body)
	}
	r.must("delete", doc("s", "k", "phase", "commit"))
	r.refused(contract.NotFound, "get", doc("s", "k"))
	r.must("delete", doc("s", "k", "phase", "commit"))
}

func TestSnapshotFence(t *testing.T) {
	r := newRig(t)
	by := func(writer string) []string { return []string{contract.HeaderWriter, writer} }
	snap := func(seq int) object { return doc("s", "k", "seq", seq, "json", `{"s":1}`, "history", 100) }
	r.must("initialize", doc("s", "k", "patch", update(0, 1, `{"a":1}`, `{}`)), by("one")...)
	r.must("patch", doc("s", "k", "patches", []object{update(2, 4, `{"a":2}`, `{}`)}), by("two")...)

	r.must("snapshot", snap(1), by("one")...)
	r.refused(contract.Fenced, "snapshot", snap(3), by("one")...)
	r.must("snapshot", snap(3), by("two")...)
	r.must("snapshot", snap(4))
	r.refused(contract.Fenced, "snapshot", snap(4), by("three")...)
	r.must("get", doc("s", "k"), by("three")...)
	r.must("snapshot", snap(4), by("three")...)
	if a := r.must("inventory", object{"scope": "writer"}, by("three")...); len(a.body["keys"].([]any)) != 1 {
		t.Errorf("writer three has loaded %v", a.body)
	}
	r.must("close", doc("s", "k"), by("three")...)
	if a := r.must("inventory", object{"scope": "writer"}, by("three")...); len(a.body["keys"].([]any)) != 0 {
		t.Errorf("writer three has %v after closing", a.body)
	}
	r.refused(contract.Fenced, "snapshot", snap(4), by("three")...)
	r.must("recover", doc("s", "k", "seq", 9, "document", `{}`), by("four")...)
	r.refused(contract.Fenced, "snapshot", snap(9), by("two")...)
	r.must("snapshot", snap(9), by("four")...)
}

// Requests on one key take effect in the order in which one connection sends
// them, whatever their operations are: 200 rounds of six, none awaited.
func TestOrderOnOneConnection(t *testing.T) {
	r := newRig(t)
	inbox := r.nc.NewRespInbox()
	sub, err := r.nc.SubscribeSync(inbox + ".*")
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 200
	send := func(round, n int, op string, body object) {
		data, _ := json.Marshal(body)
		if err := r.nc.PublishRequest(contract.SubjectPrefix+op, fmt.Sprintf("%s.%d-%d", inbox, round, n), data); err != nil {
			t.Fatal(err)
		}
	}
	wants := []string{"", `{"v":1}`, "", `{"v":2}`, "", "625676"}
	for i := range rounds {
		send(i, 0, "initialize", doc("order", "k", "patch", update(0, 1, `{"v":1}`, `{}`)))
		send(i, 1, "get", doc("order", "k"))
		send(i, 2, "patch", doc("order", "k", "patches", []object{update(2, 2, `{"v":2}`, `{}`)}))
		send(i, 3, "get", doc("order", "k"))
		send(i, 4, "delete", doc("order", "k"))
		send(i, 5, "get", doc("order", "k"))
	}
	for range rounds * len(wants) {
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		var round, n int
		if _, err := fmt.Sscanf(m.Subject, inbox+".%d-%d", &round, &n); err != nil {
			t.Fatal(err)
		}
		a := r.read(m)
		got, _ := a.body["patch"].(string)
		if a.code != 0 {
			got = fmt.Sprint(int(a.code))
		}
		if got != wants[n] {
			t.Fatalf("round %d request %d: %s, want %q", round, n, m.Data, wants[n])
		}
	}
}

func TestListsPageAndSort(t *testing.T) {
	r := newRig(t)
	const n = 2500
	var wg sync.WaitGroup
	for part := range 50 {
		wg.Go(func() {
			for i := part; i < n; i += 50 {
				r.must("initialize", doc(fmt.Sprintf("space-%d", i%3), fmt.Sprintf("%04d", i), "patch", update(0, 1, `{}`, `{}`)))
			}
		})
	}
	wg.Wait()
	var got []contract.Key
	cursor := ""
	for pages := 1; ; pages++ {
		a := r.must("inventory", object{"scope": "all", "cursor": cursor})
		for _, k := range a.body["keys"].([]any) {
			o := k.(map[string]any)
			got = append(got, contract.Key{Space: o["space"].(string), Key: o["key"].(string)})
		}
		next, more := a.body["cursor"].(string)
		if !more {
			if pages < 2 {
				t.Error("the list came in one page")
			}
			break
		}
		cursor = next
	}
	if len(got) != n {
		t.Errorf("%d keys are listed, want %d", len(got), n)
	}
	for i := 1; i < len(got); i++ {
		if got[i-1].Compare(got[i]) >= 0 {
			t.Fatalf("%v comes before %v", got[i-1], got[i])
		}
	}
}

func TestHistoryPages(t *testing.T) {
	r := newRig(t)
	r.must("initialize", doc("s", "k", "patch", update(0, 1, `{"n":1}`, `{"n":0}`)), contract.HeaderWriter, "w", contract.HeaderRequestID, "id-1")
	for i := 2; i <= 10; i++ {
		r.must("patch", doc("s", "k", "patches", []object{update(i, i, fmt.Sprintf(`{"n":%d}`, i), `{}`)}))
	}
	all := r.must("history", doc("s", "k")).body
	entries := all["entries"].([]any)
	first := entries[0].(map[string]any)
	if len(entries) != 10 || all["more"] != nil || all["base"] != nil || first["writer"] != "w" || first["request_id"] != "id-1" || first["seq_begin"] != 0.0 || first["undo"] != `{"n":0}` {
		t.Errorf("history is %v", all)
	}
	page := r.must("history", doc("s", "k", "from_seq", 4, "limit", 3)).body
	if list := page["entries"].([]any); len(list) != 3 || list[0].(map[string]any)["seq_end"] != 4.0 || page["more"] != true {
		t.Errorf("a page is %v", page)
	}
	r.must("snapshot", doc("s", "k", "seq", 10, "json", `{"snap":true}`, "history", 3, "asset_bytes", 77))
	short := r.must("history", doc("s", "k")).body
	if list := short["entries"].([]any); len(list) != 3 || short["base"].(map[string]any)["json"] != `{"snap":true}` || short["asset_bytes"] != 77.0 {
		t.Errorf("history after a snapshot is %v", short)
	}
	r.refused(contract.NotFound, "history", doc("s", "none"))
}

func TestLocalReadsAndParts(t *testing.T) {
	r := newRig(t)
	r.refused(contract.NotHere, "get", doc("s", "k", "consistency", "local"))
	r.must("initialize", doc("s", "k", "patch", update(0, 1, `not json`, `{}`)))
	r.must("patch", doc("s", "k", "patches", []object{update(2, 2, `{"a":1}`, `{}`)}))
	r.refused(contract.Unmergeable, "get", doc("s", "k"))
	a := r.must("get", doc("s", "k", "fold", "client", "consistency", "local"))
	if a.msg.Header.Get(contract.HeaderBehind) != "0" {
		t.Errorf("headers %v", a.msg.Header)
	}
	if redos := a.body["redos"].([]any); a.body["base"] != nil || len(redos) != 2 || redos[0] != "not json" {
		t.Errorf("parts are %v", a.body)
	}
	r.must("recover", doc("s", "k", "seq", 3, "document", `{"ok":1}`))
	if a := r.must("get", doc("s", "k")); a.body["patch"] != `{"ok":1}` {
		t.Errorf("after the recover: %v", a.body)
	}
}
