package streams

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
	"trireme/internal/record"
)

// A radio carries the owners' broadcasts, and drops, repeats, delays and spoils
// them.
type radio struct {
	mu    sync.Mutex
	rng   *rand.Rand
	tails []chan Record
	late  []Record
}

func (r *radio) broadcast(from int, seq uint64, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.send(from, Record{seq, body})
	switch r.rng.IntN(12) {
	case 0:
		r.send(from, Record{seq, body})
	case 1:
		r.late = append(r.late, Record{seq, body})
	case 2:
		r.send(from, Record{})
	case 3:
		r.send(from, Record{Seq: seq})
	case 4:
		r.send(from, Record{seq, append([]byte("x"), body...)})
	case 5:
		for _, old := range r.late {
			r.send(from, old)
		}
		r.late = nil
	}
}

func (r *radio) send(from int, rec Record) {
	for i, tail := range r.tails {
		if i == from && r.rng.IntN(2) == 0 || r.rng.IntN(4) == 0 {
			continue
		}
		select {
		case tail <- rec:
		default: // nobody listens: a gap
		}
	}
}

// A cluster is some hosts with one fake log, of which each may think that it
// should own the log.
type cluster struct {
	log      *fakeLog
	radio    *radio
	owners   []*Owner
	machines []*machine
	leads    []atomic.Bool
}

func newCluster(t *testing.T, hosts int, seed uint64) *cluster {
	c := &cluster{log: newFakeLog(), radio: &radio{rng: rand.New(rand.NewPCG(seed, 1))}, leads: make([]atomic.Bool, hosts)}
	for i := range hosts {
		c.radio.tails = append(c.radio.tails, make(chan Record, 4))
		c.machines = append(c.machines, newMachine())
		c.machines[i].setDurable(0)
		cfg := ownerConfig()
		cfg.Host = fmt.Sprint("h", i)
		cfg.BackoffMin, cfg.BackoffMax = time.Microsecond, 100*time.Microsecond
		cfg.PollEvery = time.Millisecond
		cfg.BatchProposals = 4
		cfg.MayClaim = c.leads[i].Load
		cfg.Tail = c.radio.tails[i]
		cfg.Broadcast = func(seq uint64, body []byte) { c.radio.broadcast(i, seq, body) }
		c.owners = append(c.owners, startOwner(t, c.log, c.machines[i], cfg))
	}
	return c
}

// elect makes a host the leader. Others may go on to think that they are.
func (c *cluster) elect(rng *rand.Rand) {
	leader := rng.IntN(len(c.owners))
	for i := range c.leads {
		if i == leader || rng.IntN(4) > 0 {
			c.leads[i].Store(i == leader)
		}
		if rng.IntN(2) == 0 {
			c.owners[i].Poke()
		}
	}
}

// settle makes one host the only leader, and waits until all have seen all.
func (c *cluster) settle(t *testing.T) {
	for i := range c.leads {
		c.leads[i].Store(i == 0)
		c.owners[i].Poke()
	}
	eventually(t, "the leader serves", func() bool { return submit(t, c.owners[0], "") == nil })
	eventually(t, "all have applied the same", func() bool {
		for _, m := range c.machines {
			if m.Applied() != c.machines[0].Applied() {
				return false
			}
		}
		return true
	})
	for _, o := range c.owners {
		closeOwner(t, o)
	}
}

// replayed is what the log says, read by the plainest of rules: a batch counts if
// it continues the log and is of the latest claim.
func replayed(t *rapid.T, l *fakeLog) (count map[string]int, at State) {
	count = map[string]int{}
	var chain digest.Chain
	for i, body := range l.records {
		r, err := record.Parse(body)
		if err != nil || r.Prev != chain {
			t.Fatalf("record %d: %v, or it does not continue", i+1, err)
		}
		if r.Kind == record.Claim {
			at.Epoch = position.Position{Birth: 1, Seq: uint64(i + 1)}
		} else if r.Epoch != at.Epoch {
			t.Fatalf("record %d is of epoch %v, the log is in %v", i+1, r.Epoch, at.Epoch)
		}
		for j := range r.Changes {
			count[r.Changes[j].Key.Key]++
		}
		chain = chain.Next(body)
		at.Seq, at.Chain, at.Time = uint64(i+1), chain, r.Time
	}
	return count, at
}

// However the leadership moves, whoever believes in it, and whatever becomes of
// appends and broadcasts: each request is told the truth, and all hosts apply the
// log.
func TestSeveralOwners(t *testing.T) {
	kinds := []string{"ok", "ok", "ok", "ok", "undelivered", "full", "unknown-stored", "unknown-lost", "unknown-late"}
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		hosts := rapid.IntRange(2, 5).Draw(rt, "hosts")
		c := newCluster(t, hosts, seed)
		var left atomic.Int32
		left.Store(int32(rapid.IntRange(0, 200).Draw(rt, "trouble")))
		script := rand.New(rand.NewPCG(seed, 2))
		c.log.setScript(func([]byte) verdict { // under the log's lock
			if left.Add(-1) < 0 {
				return verdict{kind: "ok"}
			}
			return verdict{kind: kinds[script.IntN(len(kinds))], delay: 1 + script.IntN(8)}
		})

		var mu sync.Mutex
		told := map[string]error{}
		var working, electing sync.WaitGroup
		done := make(chan struct{})
		electing.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 3))
			tick := time.NewTicker(300 * time.Microsecond)
			defer tick.Stop()
			for {
				c.elect(rng)
				select {
				case <-done:
					return
				case <-tick.C:
				}
			}
		})
		for w := range 8 {
			working.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(10+w)))
				for i, yes := 0, 0; yes < 20; i++ {
					key := fmt.Sprintf("w%d-%d", w, i)
					err := submit(t, c.owners[rng.IntN(hosts)], key)
					if errors.Is(err, ErrNotOwner) {
						runtime.Gosched()
						continue
					}
					if err == nil {
						yes++
					}
					mu.Lock()
					told[key] = err
					mu.Unlock()
				}
			})
		}
		working.Wait()
		close(done)
		electing.Wait()
		left.Store(0)
		c.settle(t)

		count, at := replayed(rt, c.log)
		yes := 0
		for key, err := range told {
			switch code := contract.CodeOf(err); {
			case err == nil && count[key] != 1:
				rt.Fatalf("%s was told yes and is %d times in the log", key, count[key])
			case err == nil:
				yes++
			case code != contract.Deposed && code != contract.NoOwner && code != contract.BufferFull:
				rt.Fatalf("%s was told %v", key, err)
			case count[key] != 0:
				rt.Fatalf("%s was told %v and is in the log", key, err)
			}
		}
		for i, m := range c.machines {
			if err := CatchUp(context.Background(), c.log, m, nil); err != nil {
				rt.Fatal(err)
			}
			if m.skipped != 0 || m.Applied() != at || fmt.Sprint(m.count) != fmt.Sprint(count) {
				rt.Fatalf("host %d: skipped %d, stands at %+v with %v, the log is at %+v with %v", i, m.skipped, m.Applied(), m.count, at, count)
			}
		}
		t.Logf("%d of %d told yes, %d records", yes, len(told), at.Seq)
	})
}
