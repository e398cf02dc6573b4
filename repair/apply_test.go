package repair

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"trireme/internal/contract"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// planned are three members, of which the first differs in three documents, and the plan
// to repair it.
func planned(t *testing.T) (*sim, *simMember, plan.Plan) {
	t.Helper()
	s, m := three(t, 300)
	m.loses(simKey(1))
	m.fallsBack(s.otherwise(simKey(2)))
	old := m.image(simKey(3))
	s.log.batch(s.log.edit(simKey(3), 10))
	s.feedAll()
	m.fallsBack(old)
	p, err := m.r.Plan(t.Context(), Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return s, m, p
}

func TestAPlanIsMadeAndApplied(t *testing.T) {
	s, m, p := planned(t)
	if len(p.Ops) != 3 || p.Host != "h1" || p.Layout != 1 || p.LayoutDigest == "" || len(p.Undecided) != 0 {
		t.Fatalf("%+v", p)
	}
	if seen := p.Stripes; len(seen) != 1 || seen[0].Stripe != simStripe || seen[0].Birth != 1 || len(seen[0].Peers) != 2 || seen[0].Applied.Seq != s.log.seq() {
		t.Errorf("%+v", seen)
	}
	byKey := map[contract.Key]plan.Op{}
	for _, op := range p.Ops {
		byKey[op.Key] = op
		if op.Kind != plan.Pull || op.Rule == "" || len(op.From) == 0 {
			t.Errorf("%+v", op)
		}
	}
	if byKey[simKey(1)].Verdict != plan.Missing || byKey[simKey(2)].Verdict != plan.Divergence || byKey[simKey(3)].Verdict != plan.Missing {
		t.Errorf("%+v", p.Ops)
	}
	if c := m.r.Status().Counters; c.BytesPulled != 0 || c.Rounds != 0 {
		t.Errorf("planning did something: %+v", c)
	}
	text, err := json.Marshal(&p)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = plan.Parse(text); err != nil { // as one that people have looked at
		t.Fatal(err)
	}
	var told []ApplyProgress
	result, err := m.r.Apply(t.Context(), p, func(a ApplyProgress) { told = append(told, a) })
	if err != nil || result.Pulled != 3 || result.Already+result.Dropped+len(result.Skipped) != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	if last := told[len(told)-1]; last != (ApplyProgress{Ops: 3, Done: 3}) {
		t.Errorf("told %+v", told)
	}
	s.same(s.members...)
	// Once more: everything is as it should be.
	result, err = m.r.Apply(t.Context(), p, nil)
	if err != nil || result.Already != 3 || result.Pulled != 0 {
		t.Errorf("again: %+v, %v", result, err)
	}
	p, err = m.r.Plan(t.Context(), Scope{})
	if err != nil || len(p.Ops) != 0 {
		t.Errorf("what is left: %+v, %v", p, err)
	}
}

// A plan that was cut short is done to its end.
func TestAPlanIsResumed(t *testing.T) {
	s, m, p := planned(t)
	n := m.counted(nil)
	m.counted(func(string, int64) error {
		if n.Load() == 0 {
			n.Add(1)
			return nil
		}
		return ErrUnreachable
	})
	result, err := m.r.Apply(t.Context(), p, nil)
	if err != nil || result.Pulled != 1 || len(result.Skipped) != 2 || result.Skipped[0].Why == "" {
		t.Fatalf("%+v, %v", result, err)
	}
	m.peers.image = nil
	result, err = m.r.Apply(t.Context(), p, nil)
	if err != nil || result.Pulled != 2 || result.Already != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	s.same(s.members...)
}

func TestAPlanOfAnotherStateIsRefused(t *testing.T) {
	for name, move := range map[string]func(s *sim, m *simMember, p *plan.Plan){
		"the document changed": func(s *sim, m *simMember, _ *plan.Plan) { m.loses(simKey(2)) },
		"another layout":       func(_ *sim, _ *simMember, p *plan.Plan) { p.Layout++ },
		"another layout of the same number": func(_ *sim, _ *simMember, p *plan.Plan) {
			p.LayoutDigest = strings.Repeat("0", 32)
		},
		"tombstones were released": func(s *sim, m *simMember, _ *plan.Plan) {
			s.log.batch(s.log.remove(simKey(200)))
			s.release(position.Position{Birth: 1, Seq: s.log.seq()})
			s.feed(m)
		},
		"the stripe is sick":             func(_ *sim, m *simMember, _ *plan.Plan) { m.setSick("for a test") },
		"the store is behind the plan":   func(_ *sim, _ *simMember, p *plan.Plan) { p.Stripes[0].Applied.Seq += 1000 },
		"a stripe that was not compared": func(_ *sim, _ *simMember, p *plan.Plan) { p.Stripes = nil },
		"another stripe":                 func(_ *sim, _ *simMember, p *plan.Plan) { p.Stripes[0].Stripe = "s9" },
	} {
		t.Run(name, func(t *testing.T) {
			s, m, p := planned(t)
			s.members[1].dead.Store(true) // heals do not hide anything
			s.members[2].dead.Store(true)
			move(s, m, &p)
			result, err := m.r.Apply(t.Context(), p, nil)
			if !errors.Is(err, ErrMoved) || result.Pulled+result.Dropped+result.Already != 0 {
				t.Errorf("%+v, %v", result, err)
			}
			if c := m.r.Status().Counters; c.BytesPulled != 0 || c.Dropped != 0 {
				t.Errorf("something was done: %+v", c)
			}
		})
	}
	_, m, p := planned(t)
	p.Host = "h2"
	if _, err := m.r.Apply(t.Context(), p, nil); err == nil || !strings.Contains(err.Error(), "h2") {
		t.Errorf("a plan for another host: %v", err)
	}
	p.Host = "h1"
	if err := m.r.Pause(time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := m.r.Apply(t.Context(), p, nil); !errors.Is(err, ErrPaused) {
		t.Errorf("during a pause: %v", err)
	}
}

// Writes to other documents do not move a plan on.
func TestAPlanIsAppliedUnderWrites(t *testing.T) {
	s, m, p := planned(t)
	for i := range 50 {
		s.log.batch(s.log.edit(simKey(100+i), 10))
	}
	s.feedAll()
	result, err := m.r.Apply(t.Context(), p, nil)
	if err != nil || result.Pulled != 3 {
		t.Errorf("%+v, %v", result, err)
	}
	s.same(s.members...)
}
