package service

import (
	"fmt"
	"testing"

	"trireme/internal/contract"
)

func TestLoaded(t *testing.T) {
	l := newLoaded()
	k := contract.Key{Space: "s", Key: "k"}
	if l.since("w", k, load{1, "1-1"}) {
		t.Error("nobody has loaded anything")
	}
	l.note("", k, load{5, "1-1"})
	l.note("w", k, load{5, "1-1"})
	for _, c := range []struct {
		at   load
		want bool
	}{{load{5, "1-1"}, true}, {load{4, "1-1"}, true}, {load{6, "1-1"}, false}, {load{5, "1-2"}, false}} {
		if got := l.since("w", k, c.at); got != c.want {
			t.Errorf("loaded at 5 of 1-1, since %v: %v", c.at, got)
		}
	}
	if len(l.list("", contract.Key{}, 10, nil)) != 0 || len(l.list("w", contract.Key{}, 10, nil)) != 1 || len(l.list("w", k, 10, nil)) != 0 {
		t.Error("lists are wrong")
	}
	l.release("w", k)
	l.release("w", k)
	l.release("other", k)
	if l.since("w", k, load{1, "1-1"}) || l.total != 0 || len(l.of) != 0 {
		t.Errorf("after the release: %+v", l)
	}
}

func TestLoadedIsBounded(t *testing.T) {
	l := newLoaded()
	for w := range 3 {
		for i := range loadedLimit/2 + 1 {
			l.note(fmt.Sprint(w), contract.Key{Space: "s", Key: fmt.Sprint(i)}, load{})
		}
	}
	if l.total > loadedLimit {
		t.Errorf("%d loads are remembered, the limit is %d", l.total, loadedLimit)
	}
	if l.of["2"] == nil || l.of["0"] != nil {
		t.Error("not the idlest writer was forgotten")
	}
}
