package identity

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"trireme/internal/members"
)

func opened(t *testing.T, dir, cluster string) *Identity {
	t.Helper()
	id, err := Open(dir, "h1", cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = id.lock.Close() }) // which most tests have done
	return id
}

func closed(t *testing.T, id *Identity) {
	t.Helper()
	if err := id.Close(); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func running(host string, boot uint64, durable map[string]uint64) members.Report {
	r := members.Report{Host: host, Disk: "disk of " + host, Boot: boot, Stripes: map[string]members.Stripe{}, Layout: members.Layout{Version: 4}}
	for name, seq := range durable {
		r.Stripes[name] = members.Stripe{Durable: seq}
	}
	return r
}

func TestAnIdentityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	id := opened(t, dir, "c")
	first := id.Self()
	if first.Disk == "" || first.Boot != 0 || first.Begun || first.Created == "" {
		t.Errorf("a new identity: %+v", first)
	}
	if log, store, err := id.Contents(); log || store || err != nil {
		t.Errorf("a new directory holds a log: %v, a store: %v, %v", log, store, err)
	}
	if boot, err := id.Begin(); boot != 1 || err != nil {
		t.Fatalf("boot %d, %v", boot, err)
	}
	if !id.See(running("h2", 3, map[string]uint64{"s1": 9})) {
		t.Error("a host seen for the first time need not be saved soon")
	}
	if id.See(running("h2", 3, map[string]uint64{"s1": 12})) || id.See(running("h1", 3, nil)) {
		t.Error("progress has to be saved soon")
	}
	id.See(running("h2", 3, map[string]uint64{"s1": 11}))
	id.Remember(map[string]uint64{"s1": 7})
	if own := id.Own(); own.Durable != nil {
		t.Errorf("it remembers %+v, and has not saved it", own)
	}
	closed(t, id)

	again := opened(t, dir, "c")
	want := first
	want.Boot, want.Begun = 1, true
	if got := again.Self(); !reflect.DeepEqual(got, want) {
		t.Errorf("opened again: %+v, want %+v", got, want)
	}
	if own, want := again.Own(), (Sighting{Disk: first.Disk, Boot: 1, Durable: map[string]uint64{"s1": 7}}); !reflect.DeepEqual(own, want) {
		t.Errorf("it remembers %+v, want %+v", own, want)
	}
	a := again.Answer(Starting, false, nil)
	wantSeen := Seen{Layout: 4, Hosts: map[string]Sighting{"h1": again.Own(), "h2": {Disk: "disk of h2", Boot: 3, Durable: map[string]uint64{"s1": 12}}}}
	if !reflect.DeepEqual(a.Seen, wantSeen) || a.Boot != 1 || a.Disk != first.Disk {
		t.Errorf("it answers %+v", a)
	}
	closed(t, again)
}

func TestADirectoryBelongsToOneProcess(t *testing.T) {
	dir := t.TempDir()
	id := opened(t, dir, "")
	if _, err := Open(dir, "h1", ""); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	closed(t, id)
	closed(t, opened(t, dir, ""))
}

func TestADirectoryOfAnotherIsRefused(t *testing.T) {
	for _, c := range []struct{ name, host, cluster, want string }{
		{"another host", "h2", "c", `belongs to host "h1": set host to that name`},
		{"another cluster", "h1", "d", `belongs to cluster "c": set the name`},
		{"alone", "h1", "", `is that of a host of cluster "c"`},
	} {
		dir := t.TempDir()
		closed(t, opened(t, dir, "c"))
		before := get(t, dir, idFile)
		if _, err := Open(dir, c.host, c.cluster); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if string(get(t, dir, idFile)) != string(before) {
			t.Errorf("%s: the id has changed", c.name)
		}
	}
}

func TestADirectoryWithoutAnID(t *testing.T) {
	for _, c := range []struct {
		name, cluster string
		files         []string
		want          string // of the error, "" for none
	}{
		{"of a host that stood alone", "", []string{"store/x", "jetstream/y"}, ""},
		{"of one that had a store only", "", []string{"store/x"}, ""},
		{"of one that stood alone, in a cluster", "c", []string{"jetstream/y"}, "start it without a layout"},
		{"of a host of a cluster", "c", []string{"jetstream/y", "seen"}, "no file id"},
		{"of a host of a cluster, alone", "", []string{"jetstream/y", "jetstream-mode"}, "no file id"},
		{"empty but for what it has seen", "c", []string{"seen"}, ""},
	} {
		dir := t.TempDir()
		for _, name := range c.files {
			text := "cluster c\n"
			if name == seenFile {
				sealed, err := seal(Seen{Hosts: map[string]Sighting{}})
				if err != nil {
					t.Fatal(err)
				}
				text = string(sealed)
			}
			put(t, dir, name, text)
		}
		id, err := Open(dir, "h1", c.cluster)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want == "":
			if s := id.Self(); s.Disk == "" || s.Cluster != c.cluster {
				t.Errorf("%s: %+v", c.name, s)
			}
			closed(t, id)
		case err == nil || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		default:
			if _, err := os.Stat(filepath.Join(dir, idFile)); err == nil {
				t.Errorf("%s: it got an id", c.name)
			}
		}
	}
}

// TestDamagedFilesAreRefused ends each file at every byte, and changes every byte.
func TestDamagedFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	id := opened(t, dir, "c")
	if _, err := id.Begin(); err != nil {
		t.Fatal(err)
	}
	id.See(running("h2", 3, map[string]uint64{"s1": 9}))
	closed(t, id)
	if err := WriteOrder(dir, Order{Situation: "x", Missing: []string{"h2"}}); err != nil {
		t.Fatal(err)
	}
	p, err := seal(&plan{Aside: "aside-1", Next: newSelf("h1", "c", start)})
	if err != nil {
		t.Fatal(err)
	}
	damaged[Self](t, dir, idFile, get(t, dir, idFile))
	damaged[Seen](t, dir, seenFile, get(t, dir, seenFile))
	damaged[Order](t, dir, orderFile, get(t, dir, orderFile))
	damaged[*plan](t, dir, planFile, p)
	if err := os.Remove(filepath.Join(dir, planFile)); err != nil {
		t.Fatal(err)
	}
	closed(t, opened(t, dir, "c"))
}

// damaged damages a file in every place, and lets the directory be opened with some
// of that.
func damaged[T any](t *testing.T, dir, name string, whole []byte) {
	t.Helper()
	n := 0
	refused := func(text []byte) {
		t.Helper()
		if _, err := unseal[T](text); err == nil {
			t.Fatalf("%s is accepted as %s", text, name)
		}
		if n++; n%64 != 1 {
			return
		}
		put(t, dir, name, string(text))
		_, err := ReadOrder(dir)
		if name != orderFile {
			_, err = Open(dir, "h1", "c")
		}
		if err == nil || !strings.Contains(err.Error(), "file "+name) {
			t.Fatalf("file %s with %s: error %v", name, text, err)
		}
		if got := get(t, dir, name); string(got) != string(text) {
			t.Fatalf("file %s with %s has changed", name, text)
		}
	}
	for i := range whole {
		refused(whole[:i])
		for bit := range 8 {
			text := []byte(string(whole))
			text[i] ^= 1 << bit
			refused(text)
		}
	}
	refused([]byte(string(whole) + "\n"))
	put(t, dir, name, string(whole))
}

func TestSeeingAndSavingSideBySide(t *testing.T) {
	dir := t.TempDir()
	id := opened(t, dir, "c")
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range uint64(20) {
				id.See(running("h2", 1, map[string]uint64{"s1": i}))
				if err := id.Save(); err != nil {
					t.Error(err)
				}
				id.Answer(Serving, true, nil)
			}
		})
	}
	wait.Wait()
	closed(t, id)
	again := opened(t, dir, "c")
	if got := again.Answer(Starting, false, nil).Seen.Hosts["h2"].Durable["s1"]; got != 19 {
		t.Errorf("seen up to %d, want 19", got)
	}
	closed(t, again)
}

func TestAnotherDiskTakesThePlaceOfWhatWasSeen(t *testing.T) {
	s := Seen{}
	s.whole()
	r := running("h2", 9, map[string]uint64{"s1": 100})
	s.see(&r)
	r = running("h2", 10, map[string]uint64{"s1": 3})
	r.Disk = "new"
	if changed, soon := s.see(&r); !changed || !soon {
		t.Error("another disk is nothing new")
	}
	if got := s.Hosts["h2"]; got.Disk != "new" || got.Boot != 10 || got.Durable["s1"] != 3 {
		t.Errorf("seen %+v", got)
	}
}

func FuzzUnseal(f *testing.F) {
	self, err1 := seal(Self{Disk: "D", Host: "h1", Cluster: "c", Boot: 7, Begun: true, Former: []string{"E"}})
	seen, err2 := seal(Seen{Layout: 3, Hosts: map[string]Sighting{"h2": {Disk: "D", Boot: 1, Durable: map[string]uint64{"s1": 5}}}})
	if err := errors.Join(err1, err2); err != nil {
		f.Fatal(err)
	}
	f.Add(self)
	f.Add(seen)
	f.Fuzz(func(t *testing.T, text []byte) {
		unsealed[Self](t, text)
		unsealed[Seen](t, text)
		unsealed[Order](t, text)
		unsealed[*plan](t, text)
	})
}

func unsealed[T any](t *testing.T, text []byte) {
	t.Helper()
	body, err := unseal[T](text)
	if err != nil {
		return
	}
	if again, err := seal(body); err != nil || string(again) != string(text) {
		t.Fatalf("%s is written as %s, %v", text, again, err)
	}
}
