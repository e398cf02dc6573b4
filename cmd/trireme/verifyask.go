package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair"
	"trireme/repair/plan"
	"trireme/repair/verify"
)

// askAtOnce is how many questions are under way.
const askAtOnce = 12

// A verification asks what a [verify.Run] wants to know.
type verification struct {
	*comparer
	app    *app
	flags  verifyFlags
	began  time.Time
	verify *verify.Run
	scrubs []jobOutcome // with --deep
	looked time.Time    // that the hosts were asked for their status
}

func stripesOf(l *layout.Layout) (all []verify.Stripe) {
	for _, s := range l.Stripes {
		if parts := l.PartitionsOf(s.Name); len(parts) > 0 {
			all = append(all, verify.Stripe{Name: s.Name, Birth: s.Birth, Members: s.Hosts, Partitions: parts})
		}
	}
	return all
}

func positionOf(birth uint32, seq uint64) position.Position {
	return position.Position{Birth: birth, Seq: seq}
}

// pass asks all questions that there are, some of them at once.
func (v *verification) pass(ctx context.Context) error {
	for {
		questions := v.verify.Questions()
		if len(questions) == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
		answers := make([]verify.Answer, len(questions))
		turns := make(chan struct{}, askAtOnce)
		var all sync.WaitGroup
		for i, q := range questions {
			turns <- struct{}{}
			all.Go(func() {
				defer func() { <-turns }()
				answers[i] = v.answer(ctx, q)
			})
		}
		all.Wait()
		for i, q := range questions {
			v.verify.Tell(q, answers[i])
		}
	}
}

// answer asks a member.
func (v *verification) answer(ctx context.Context, q verify.Question) verify.Answer {
	switch q.Kind {
	case verify.Buckets:
		side, states, err := v.peer.Buckets(ctx, q.Host, q.Stripe, q.Partitions...)
		return given(verify.Answer{Side: side, Buckets: states}, err)
	case verify.Index:
		side, docs, err := v.peer.Index(ctx, q.Host, q.Bucket)
		return given(verify.Answer{Side: side, Docs: docs}, err)
	case verify.Document:
		c, err := v.peer.Document(ctx, q.Host, q.Key)
		if c.Sick != "" {
			return verify.Answer{Why: c.Sick, Sick: true}
		}
		return given(verify.Answer{Side: c.Side, Docs: []plan.Doc{c.Doc}}, err)
	}
	root, err := v.peer.Partitions(ctx, q.Host, q.Stripe)
	a := verify.Answer{Side: root.Side}
	for _, p := range root.Partitions {
		a.Partitions = append(a.Partitions, verify.PartitionRoot(p))
	}
	return given(a, err)
}

// given is an answer, or why there is none.
func given(a verify.Answer, err error) verify.Answer {
	if err == nil {
		return a
	}
	if r, ok := errors.AsType[*repair.RefusedError](err); ok && r.Code == repair.CodeSick {
		return verify.Answer{Why: r.Why, Sick: true}
	}
	switch {
	case errors.Is(err, repair.ErrUnreachable):
		return verify.Answer{Why: "it does not answer"}
	case errors.Is(err, repair.ErrLayout):
		return verify.Answer{Why: "it runs another layout"}
	}
	return verify.Answer{Why: err.Error()}
}

// step is how far it is, and who is waited for.
func (v *verification) step() step {
	s := step{Doing: "verifying"}
	s.Done, s.Of = v.verify.Progress()
	report := v.verify.Report()
	whys := map[string][]string{}
	var order []string
	for i := range report.Stripes {
		for _, m := range report.Stripes[i].Members {
			if m.Why == "" {
				continue
			}
			why := m.Host + ": " + v.reason(report.Stripes[i].Stripe.Name, &m)
			if whys[why] == nil {
				order = append(order, why)
			}
			whys[why] = append(whys[why], report.Stripes[i].Stripe.Name)
		}
	}
	slices.Sort(order)
	for _, why := range order {
		s.Note = joined(s.Note, fmt.Sprintf("%s (%s)", why, strings.Join(whys[why], " ")))
	}
	return s
}

// reason is why a member is not compared, with how far its healing is.
func (v *verification) reason(stripe string, m *verify.MemberReport) string {
	if !m.Sick {
		return m.Why
	}
	for _, h := range v.hosts {
		if h.Host != m.Host || h.Repair == nil {
			continue
		}
		for _, x := range h.Repair.Heals {
			if x.Stripe == stripe && x.Buckets > 0 {
				return fmt.Sprintf("heals, %d of %d buckets", x.Verified, x.Buckets)
			}
		}
	}
	return m.Why
}
