package repair

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// healings are the sick stripes, as a status shows them.
type healings struct {
	mu   sync.Mutex
	of   []*healing
	kept map[string]keptHeal // of stripes whose healing began before this start
}

// A healing is that of one sick stripe, over all its tries. Its fields are guarded by
// the lock of the healings.
type healing struct {
	all *healings
	is  Heal

	last string // the peer of the last try

	// Of the present try, for the estimate.
	tried time.Time
	todo  int // buckets that differed
	done  int // of them
}

// follow makes the list one of these sick stripes.
func (h *healings) follow(sick []Stripe) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of = slices.DeleteFunc(h.of, func(one *healing) bool {
		return !slices.ContainsFunc(sick, func(s Stripe) bool { return s.Name == one.is.Stripe })
	})
	for i := range sick {
		h.get(&sick[i])
	}
}

// get finds a stripe's, or begins one.
func (h *healings) get(s *Stripe) *healing {
	i := slices.IndexFunc(h.of, func(one *healing) bool { return one.is.Stripe == s.Name })
	if i >= 0 {
		h.of[i].is.Sick = s.Sick
		return h.of[i]
	}
	one := &healing{all: h, is: Heal{Stripe: s.Name, Sick: s.Sick, Phase: HealWaiting, Why: "its turn has not come"}}
	if k, ok := h.kept[s.Name]; ok {
		one.is.Began, one.is.Buckets, one.is.Verified = &k.Began, k.Buckets, k.Verified
		one.is.Documents, one.is.Bytes, one.is.Tries = k.Documents, k.Bytes, k.Tries
	}
	h.of = append(h.of, one)
	return one
}

// begin begins a try.
func (h *healings) begin(s *Stripe) *healing {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.get(s)
	if one.is.Began == nil {
		now := time.Now()
		one.is.Began = &now
	}
	one.is.Tries++
	return one
}

// end forgets a stripe that is healed.
func (h *healings) end(stripe string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of = slices.DeleteFunc(h.of, func(one *healing) bool { return one.is.Stripe == stripe })
	delete(h.kept, stripe)
}

// list is what a status shows.
func (h *healings) list() []Heal {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Heal, len(h.of))
	for i, one := range h.of {
		list[i] = one.is
		if one.is.Phase == HealPulling && one.done > 0 {
			now := time.Now()
			left := time.Duration(float64(now.Sub(one.tried)) / float64(one.done) * float64(one.todo-one.done))
			eta := now.Add(max(left, 0))
			list[i].ETA = &eta
		}
	}
	return list
}

// keep is what is kept of them: of those that began before, too, whose stripe has not
// been seen yet.
func (h *healings) keep() map[string]keptHeal {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := map[string]keptHeal{}
	maps.Copy(kept, h.kept)
	for _, one := range h.of {
		if one.is.Began != nil {
			kept[one.is.Stripe] = keptHeal{
				Began: *one.is.Began, Buckets: one.is.Buckets, Verified: one.is.Verified,
				Documents: one.is.Documents, Bytes: one.is.Bytes, Tries: one.is.Tries,
			}
		}
	}
	return kept
}

// moving tells whether one of them makes progress.
func (h *healings) moving() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.of, func(one *healing) bool { return one.is.Phase == HealPulling })
}

func (h *healing) edit(do func()) {
	h.all.mu.Lock()
	defer h.all.mu.Unlock()
	do()
}

func (h *healing) state() (is Heal) {
	h.edit(func() { is = h.is })
	return is
}

func (h *healing) lastPeer() (last string) {
	h.edit(func() { last = h.last })
	return last
}

func (h *healing) from(peer string) {
	h.edit(func() {
		h.is.Peer, h.last, h.is.Phase, h.is.Why = peer, peer, HealPulling, ""
		h.tried, h.todo, h.done = time.Now(), 0, 0
	})
}

func (h *healing) phase(p HealPhase, why string) {
	h.edit(func() { h.is.Phase, h.is.Why = p, why })
}

// begun notes how many buckets there are, and how many of them differ.
func (h *healing) begun(buckets, differ int) {
	h.edit(func() {
		h.is.Buckets, h.is.Verified = buckets, buckets-differ
		h.tried, h.todo, h.done = time.Now(), differ, 0
	})
}

// verified notes that buckets are equal now.
func (h *healing) verified(n int) {
	h.edit(func() {
		h.is.Verified += n
		h.done += n
	})
}

// took notes a document that was pulled.
func (h *healing) took(bytes int) {
	h.edit(func() {
		h.is.Documents++
		h.is.Bytes += uint64(bytes)
	})
}
