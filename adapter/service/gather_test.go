package service

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"trireme/internal/contract"
)

// list reads all pages of a list at a host; between is called before each page.
func (w *world) list(subject, body string, between func(page int), headers ...string) []contract.Key {
	w.t.Helper()
	var all []contract.Key
	cursor := ""
	for page := 0; ; page++ {
		between(page)
		var reply contract.KeysReply
		m := w.want(w.send(subject, fmt.Sprintf(`{%s"cursor":%q}`, body, cursor), headers...), 0)
		if err := json.Unmarshal(m.Data, &reply); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, reply.Keys...)
		if cursor = reply.Cursor; cursor == "" {
			return all
		}
	}
}

func (w *world) create(n int) (keys []contract.Key) {
	w.t.Helper()
	var wait []func()
	for i := range n {
		k := contract.Key{Space: "s", Key: fmt.Sprintf("%05d", i)}
		keys = append(keys, k)
		sub := w.send("initialize", createBody(k))
		wait = append(wait, func() { w.want(sub, 0) })
	}
	for _, f := range wait {
		f()
	}
	return keys
}

func TestListsAcrossHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.claim("h1", "s1")
	w.claim("h2", "s2")
	keys := w.create(1500)
	still := func(int) {}
	for _, at := range []string{"", "h.h1.", "h.h3."} {
		if got := w.list(at+"inventory", `"scope":"all",`, still); !slices.Equal(got, keys) {
			t.Errorf("%sinventory lists %d keys, want %d", at, len(got), len(keys))
		}
	}
	var parts []contract.Key
	for _, host := range w.names() {
		own := w.list("inventory", fmt.Sprintf(`"host":%q,`, host), still)
		if again := w.list("h."+host+".inventory", "", still); !slices.Equal(own, again) {
			t.Errorf("%s lists %d keys itself, %d through another host", host, len(again), len(own))
		}
		parts = append(parts, own...)
	}
	slices.SortFunc(parts, contract.Key.Compare)
	if !slices.Equal(parts, keys) {
		t.Errorf("the hosts list %d keys together, want %d", len(parts), len(keys))
	}
	w.want(w.send("inventory", `{"host":"h9"}`), contract.Malformed)
	w.want(w.send("h.h1.inventory", `{"host":"h2"}`), contract.Malformed)

	var marked []contract.Key
	for i := 0; i < len(keys); i += 100 {
		marked = append(marked, keys[i])
		w.want(w.send("delete", fmt.Sprintf(`{"space":"s","key":%q,"phase":"mark"}`, keys[i].Key)), 0)
		w.want(w.send("get", keyBody(keys[i+1]), contract.HeaderWriter, "w"), 0)
	}
	if got := w.list("deleting", "", still); !slices.Equal(got, marked) {
		t.Errorf("%d keys are being deleted, want %d", len(got), len(marked))
	}
	if got := w.list("inventory", `"scope":"writer",`, still, contract.HeaderWriter, "w"); len(got) != len(marked) {
		t.Errorf("the writer has loaded %d documents, want %d", len(got), len(marked))
	}
}

// Each page meets other owners, one of them stands still with what it knew.
func TestAListWhileOwnersMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.claim("h1", "s1", "s2")
	keys := w.create(1200)
	late := contract.Key{Space: "s", Key: "x-late"}
	moves := func(page int) {
		w.claim(w.names()[(page+1)%3], "s1")
		w.claim(w.names()[(page+2)%3], "s2")
		if page == 0 {
			w.want(w.send("initialize", createBody(late)), 0)
		}
	}
	if got := w.list("h.h1.inventory", `"scope":"all",`, moves); !slices.Equal(got, append(keys, late)) {
		t.Errorf("lists %d keys, want %d", len(got), len(keys)+1)
	}
}

// A host that was deposed without noticing vouches for nothing.
func TestAZombieListsNothing(t *testing.T) {
	w := newWorld(t)
	w.claim("h1", "s1", "s2")
	w.create(10)
	seat := w.hosts["h1"].seat("s1")
	seat.held.Lock()
	w.claim("h2", "s1", "s2")
	var once sync.Once
	release := func() { once.Do(seat.held.Unlock) }
	defer release()
	late := w.keyOn("s1", "late")
	w.want(w.send("h.h2.initialize", createBody(late)), 0)
	if _, serving := seat.Epoch(); !serving {
		t.Fatal("h1 has noticed")
	}
	sub := w.send("h.h1.inventory", `{"scope":"all"}`) // asks itself first, as it believes to own s1
	release()
	var reply contract.KeysReply
	if err := json.Unmarshal(w.want(sub, 0).Data, &reply); err != nil || !slices.Contains(reply.Keys, late) {
		t.Errorf("%d keys without the last, %v", len(reply.Keys), err)
	}
}
