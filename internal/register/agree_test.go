package register

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A said is what a host was told of one of its proposals.
type said struct {
	version uint64
	digest  string
	err     error
}

// agreed reads a journal by the plainest of rules.
func agreed(t *rapid.T, j *fakeJournal) (layouts map[uint64]string, born map[string]string) {
	layouts, born = map[uint64]string{}, map[string]string{}
	highest := uint64(0)
	for i, m := range j.records {
		var version uint64
		if _, err := fmt.Sscan(m.Header.Get(headerVersion), &version); err == nil {
			if version <= highest {
				t.Fatalf("record %d is of layout %d, layout %d was accepted before", i+1, version, highest)
			}
			highest = version
			layouts[version] = m.Header.Get(headerDigest)
			continue
		}
		if born[m.Subject] != "" {
			t.Fatalf("record %d tells of the birth of %s again", i+1, m.Subject)
		}
		born[m.Subject] = string(m.Data)
	}
	return layouts, born
}

// Whatever the network does, there is one layout for each version and one birth
// for each stripe, each host is told the truth, and all read the same.
func TestHostsAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		hosts := rapid.IntRange(1, 4).Draw(rt, "hosts")
		j := &fakeJournal{rng: rand.New(rand.NewPCG(seed, 0)), left: rapid.IntRange(0, 100).Draw(rt, "trouble")}
		var mu sync.Mutex
		var told []said
		var wg sync.WaitGroup
		registers := make([]*Register, hosts)
		for h := range registers {
			r := newRegister(j, fmt.Sprint("h", h))
			r.pauses = pauses{time.Microsecond, 10 * time.Microsecond, 50 * time.Microsecond}
			registers[h] = r
			rng := rand.New(rand.NewPCG(seed, uint64(1+h)))
			wg.Go(func() {
				for i := range 10 {
					if rng.IntN(3) == 0 {
						stripe := fmt.Sprint("s", rng.IntN(4))
						s, err := r.Bear(t.Context(), stripe, 1, r.by)
						if err != nil || s.Born[stripe].Birth != 1 {
							t.Errorf("%s: birth of %s: %v, %v", r.by, stripe, s.Born, err)
						}
						continue
					}
					version := r.Known().Version + uint64(rng.IntN(3))
					if version == 0 {
						continue
					}
					digest := fmt.Sprintf("%d of h%d, try %d", version, h, i)
					s, err := r.Propose(t.Context(), version, digest, []byte("text of "+digest), always)
					if s.Version < version || err == nil && s.Version == version && s.Digest != digest {
						t.Errorf("%s: proposed %s, told %v, and layout %d %s is in force", r.by, digest, err, s.Version, s.Digest)
					}
					mu.Lock()
					told = append(told, said{version, digest, err})
					mu.Unlock()
				}
			})
		}
		wg.Wait()

		layouts, born := agreed(rt, j)
		for _, s := range told {
			switch accepted := layouts[s.version] == s.digest; {
			case s.err == nil && !accepted:
				rt.Fatalf("%s was told yes, accepted is %q", s.digest, layouts[s.version])
			case s.err != nil && (accepted || !errors.Is(s.err, ErrOlder) && !errors.Is(s.err, ErrConflict)):
				rt.Fatalf("%s was told %v, accepted is %q", s.digest, s.err, layouts[s.version])
			}
		}
		j.left = 0
		for _, r := range registers {
			s, err := r.State(t.Context())
			if err != nil || s.Seq != uint64(len(j.records)) || s.Version > 0 && (layouts[s.Version] != s.Digest || string(s.Layout) != "text of "+s.Digest) || len(s.Born) != len(born) {
				rt.Fatalf("%+v, %v", s, err)
			}
			for version := range layouts {
				if version > s.Version {
					rt.Fatalf("layout %d was accepted, %d is in force", version, s.Version)
				}
			}
		}
	})
}

// A mute journal does what put says.
type muteJournal struct {
	fakeJournal
	answer func(expected uint64, m *message) error
}

func (j *muteJournal) put(_ context.Context, expected uint64, m *message) error {
	return j.answer(expected, m)
}

func newMute(answer func(uint64, *message) error) (*muteJournal, *Register) {
	j := &muteJournal{answer: answer}
	j.rng = rand.New(rand.NewPCG(1, 1))
	r := newRegister(j, "h1")
	r.pauses = pauses{time.Millisecond, time.Millisecond, time.Millisecond}
	return j, r
}

// A proposal whose fate nobody tells ends with the context, as unknown; one that
// was refused ends as not accepted.
func TestWithoutAnAnswer(t *testing.T) {
	for _, c := range []struct {
		name    string
		answer  error
		unknown bool
	}{{"silence", errTrouble, true}, {"refused", &refusedError{7}, false}} {
		t.Run(c.name, func(t *testing.T) {
			_, r := newMute(func(uint64, *message) error { return c.answer })
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err := r.Propose(ctx, 1, "d", []byte("x"), always)
			wantIs(t, err, context.DeadlineExceeded)
			if errors.Is(err, ErrUnknown) != c.unknown {
				t.Fatal(err)
			}
			_, err = r.Bear(ctx, "s1", 1, "h1")
			wantIs(t, err, context.DeadlineExceeded)
		})
	}
}

// The answer is lost, and then decide would not let the layout through any more.
func TestDecideIsNotAskedOfWhatIsAccepted(t *testing.T) {
	var j *muteJournal
	asked := 0
	j, r := newMute(func(_ uint64, m *message) error {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.records = append(j.records, m)
		return errTrouble
	})
	s, err := r.Propose(t.Context(), 3, "d", []byte("x"), func(current State) error {
		if asked++; current.Version != 0 {
			return errors.New("no")
		}
		return nil
	})
	if err != nil || asked != 1 || s.Version != 3 || s.Digest != "d" || string(s.Layout) != "x" || s.Seq != 1 {
		t.Fatalf("%+v, %v, asked %d times", s, err, asked)
	}
	if s, err = r.Propose(t.Context(), 3, "d", []byte("x"), func(State) error { return errors.New("no") }); err != nil || s.Seq != 1 {
		t.Fatal("the same again: ", err)
	}
	stop := errors.New("stop")
	_, err = r.Propose(t.Context(), 4, "e", []byte("y"), func(State) error { return stop })
	wantIs(t, err, stop)
	_, err = r.Propose(t.Context(), 3, "d", []byte("y"), always)
	wantIs(t, err, ErrConflict)
	_, err = r.Propose(t.Context(), 2, "d", []byte("x"), always)
	wantIs(t, err, ErrOlder)
	if len(j.records) != 1 {
		t.Fatalf("%d records", len(j.records))
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	_, r := newMute(func(uint64, *message) error { t.Error("it was written"); return errTrouble })
	for _, c := range []struct {
		version uint64
		digest  string
		text    string
	}{{0, "d", "x"}, {1, "", "x"}, {1, "a\nb", "x"}, {1, " d", "x"}, {1, "d", ""}, {1, "d", string(make([]byte, MaxText+1))}} {
		if _, err := r.Propose(t.Context(), c.version, c.digest, []byte(c.text), always); err == nil {
			t.Errorf("version %d, digest %q, %d bytes were taken", c.version, c.digest, len(c.text))
		}
	}
	for _, stripe := range []string{"", "a.b", "a b", "*", ">"} {
		if _, err := r.Bear(t.Context(), stripe, 1, "h1"); err == nil {
			t.Errorf("stripe %q was taken", stripe)
		}
	}
	if _, err := r.Bear(t.Context(), "s1", 0, "h1"); err == nil {
		t.Error("birth 0 was taken")
	}
}

// Calls wait for one another, and for no longer than their context.
func TestOneAtATime(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	_, r := newMute(func(uint64, *message) error { close(inside); <-leave; return &refusedError{9} })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = r.Propose(ctx, 1, "d", []byte("x"), always) })
	<-inside
	waiting, give := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer give()
	_, err := r.State(waiting)
	wantIs(t, err, context.DeadlineExceeded)
	if r.Known().Seq != 0 {
		t.Fatal("what is known is told at once")
	}
	cancel()
	close(leave)
	wg.Wait()
}
