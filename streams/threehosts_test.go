package streams

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trireme/internal/contract"
)

// A drill is three hosts under load.
type drill struct {
	hosts  []*host
	claims atomic.Int32
	in     sync.RWMutex // held by whoever uses hosts' owners; for writing, by whoever stops and starts them

	mu    sync.Mutex
	told  map[string]error
	acked int

	stop       chan struct{}
	background sync.WaitGroup
}

func startDrill(t *testing.T) *drill {
	t.Helper()
	d := &drill{hosts: startHosts(t), told: map[string]error{}, stop: make(chan struct{})}
	for _, h := range d.hosts {
		h.start(t)
	}
	for _, h := range d.hosts {
		h.open(t, &d.claims)
	}
	d.background.Go(d.watch)
	for w := range 8 {
		d.background.Go(func() { d.write(t, w) })
	}
	d.progress(t)
	return d
}

// watch pokes owners when the leadership has changed; an embedded server would
// tell of it.
func (d *drill) watch() {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := make([]bool, len(d.hosts))
	for {
		d.in.RLock()
		for i, h := range d.hosts {
			if now := h.leads(); now != last[i] {
				last[i] = now
				h.owner.Poke()
			}
		}
		d.in.RUnlock()
		select {
		case <-d.stop:
			return
		case <-tick.C:
		}
	}
}

// write asks one host after another.
func (d *drill) write(t *testing.T, w int) {
	idle := time.NewTicker(time.Millisecond)
	defer idle.Stop()
	for i := 0; ; i++ {
		select {
		case <-d.stop:
			return
		default:
		}
		r := newRequest(fmt.Sprintf("w%d-%d", w, i))
		d.in.RLock()
		err := d.hosts[(i+w)%len(d.hosts)].owner.Submit(r, 64)
		d.in.RUnlock()
		if err != nil {
			if i%len(d.hosts) == 0 { // nobody serves now, perhaps
				<-idle.C
			}
			continue
		}
		err = r.wait(t)
		d.mu.Lock()
		d.told[r.key] = err
		if err == nil {
			d.acked++
		}
		d.mu.Unlock()
	}
}

func (d *drill) yes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.acked
}

// progress waits until some more has been written.
func (d *drill) progress(t *testing.T) {
	t.Helper()
	n := d.yes()
	eventually(t, "writes go on", func() bool { return d.yes() >= n+200 })
}

// leader waits for a host that serves.
func (d *drill) leader(t *testing.T) (found *host) {
	t.Helper()
	eventually(t, "a host serves", func() bool {
		for _, h := range d.hosts {
			if h.leads() && h.owner.Status().Phase == Serving {
				found = h
			}
		}
		return found != nil
	})
	return found
}

// move hands the stripe to the i-th host, or to the next if that has it.
func (d *drill) move(t *testing.T, i int) {
	t.Helper()
	from, to := d.leader(t), d.hosts[i%3]
	if to == from {
		to = d.hosts[(i+1)%3]
	}
	eventually(t, "the leadership moves", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return from.log.MoveLeader(ctx, to.name) == nil
	})
	eventually(t, "another host serves", func() bool { return d.leader(t) != from })
}

func (d *drill) down(h *host) {
	d.in.Lock()
	defer d.in.Unlock()
	h.stop()
}

func (d *drill) up(t *testing.T, h *host) {
	t.Helper()
	d.in.Lock()
	defer d.in.Unlock()
	h.start(t)
	h.open(t, &d.claims)
}

// verdict compares what was told with the log, and the hosts with one another.
func (d *drill) verdict(t *testing.T) {
	t.Helper()
	close(d.stop)
	d.background.Wait()
	last := d.leader(t)
	if err := submit(t, last.owner, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all have applied the same", func() bool {
		return d.hosts[0].machine.Applied() == d.hosts[1].machine.Applied() && d.hosts[0].machine.Applied() == d.hosts[2].machine.Applied()
	})
	keys := readAll(t, last.log)
	for key, err := range d.told {
		switch code := contract.CodeOf(err); {
		case err == nil && keys[key] != 1:
			t.Errorf("%s was told yes and is %d times in the log", key, keys[key])
		case err != nil && code != contract.OutcomeUnknown && keys[key] != 0:
			t.Errorf("%s was told %v and is in the log", key, err)
		}
	}
	for _, h := range d.hosts {
		if h.machine.skipped != 0 || fmt.Sprint(h.machine.count) != fmt.Sprint(keys) {
			t.Errorf("%s: skipped %d, has %d keys, the log has %d", h.name, h.machine.skipped, len(h.machine.count), len(keys))
		}
	}
	t.Logf("%d of %d told yes, %d records, %d claims", d.acked, len(d.told), last.machine.Applied().Seq, d.claims.Load())
}

// Three hosts write one log through whoever leads it, while the leadership
// moves, leaders stop and come back, and two of three are gone for a while:
// nothing is lost, nothing doubled, and all hosts are the same in the end.
func TestThreeHosts(t *testing.T) {
	d := startDrill(t)
	from := d.leader(t)
	if err := from.log.MoveLeader(t.Context(), from.name); err != nil {
		t.Fatal("where it is already: ", err)
	}
	if err := from.log.MoveLeader(t.Context(), "nobody"); err == nil || from.owner.Status().Phase != Serving {
		t.Fatal("it moved to nobody")
	}
	var longest time.Duration
	for i := range 10 {
		start := time.Now()
		d.move(t, i)
		longest = max(longest, time.Since(start))
		d.progress(t)
	}
	t.Logf("10 moves, the longest took %v, %d claims", longest, d.claims.Load())

	gone := d.leader(t)
	start := time.Now()
	d.down(gone)
	d.progress(t)
	t.Logf("writes went on %v after the leader was stopped", time.Since(start))

	alone := d.leader(t)
	other := d.hosts[0]
	for _, h := range d.hosts {
		if h != gone && h != alone {
			other = h
		}
	}
	d.down(other)
	eventually(t, "the one that is left cannot commit", func() bool { return alone.owner.Status().Phase != Serving })
	start = time.Now()
	d.up(t, gone)
	d.progress(t)
	t.Logf("writes went on %v after one host was back", time.Since(start))
	d.up(t, other)
	d.progress(t)
	d.verdict(t)
}
