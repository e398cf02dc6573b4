package plan

import (
	"fmt"
	"strings"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// Describe tells people what the plan would do, and what it was made from.
func (p *Plan) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan for host %s, made under layout %d\n", p.Host, p.Layout)
	for i := range p.Stripes {
		s := &p.Stripes[i]
		fmt.Fprintf(&b, "  stripe %s stood at %v%s\n", s.Stripe, s.Applied, s.compared())
	}
	fmt.Fprintf(&b, "%s\n", p.summary())
	for i := range p.Ops {
		fmt.Fprintf(&b, "  %s\n    %s\n", p.Ops[i].String(), p.Ops[i].Rule)
	}
	if len(p.Undecided) > 0 {
		fmt.Fprintf(&b, "undecided, so nothing is done: %d\n", len(p.Undecided))
	}
	for i := range p.Undecided {
		o := &p.Undecided[i]
		fmt.Fprintf(&b, "  %s\n    %s%s\n", document(o.Key, o.Bucket, o.Stripe), o.Rule, listed("; might be changed by ", o.Asks))
	}
	return b.String()
}

func (s *StripeSeen) compared() string {
	text := listed(", compared with ", s.Peers)
	if !s.Horizon.IsZero() {
		text += fmt.Sprintf(", tombstones released up to %v", s.Horizon)
	}
	return text
}

func listed(before string, hosts []string) string {
	if len(hosts) == 0 {
		return ""
	}
	return before + strings.Join(hosts, ", ")
}

// summary counts the operations by kind and verdict.
func (p *Plan) summary() string {
	if len(p.Ops) == 0 {
		return "nothing to do"
	}
	var parts []string
	for _, kind := range []Action{Pull, Drop} {
		for v := Same; v <= Gone; v++ {
			n := 0
			for i := range p.Ops {
				if p.Ops[i].Kind == kind && p.Ops[i].Verdict == v {
					n++
				}
			}
			if n > 0 {
				parts = append(parts, fmt.Sprintf("%d to %v for %v", n, kind, v))
			}
		}
	}
	return "to do: " + strings.Join(parts, ", ")
}

// String says in a line what the operation does.
func (o *Op) String() string {
	text := fmt.Sprintf("%v %s: %v: here %s", o.Kind, document(o.Key, o.Bucket, o.Stripe), o.Verdict, o.Here.String())
	if o.Damaged {
		text += ", damaged"
	}
	if o.Kind == Pull {
		text += fmt.Sprintf("; %s%s", o.Right.String(), listed(" from ", o.From))
	}
	return text
}

// String is the position and the beginning of the digest.
func (s Seen) String() string {
	if s == (Seen{}) {
		return "none"
	}
	return fmt.Sprintf("%v (%s)", s.Position, s.Digest.String()[:8])
}

func document(k contract.Key, b layout.Bucket, stripe string) string {
	return fmt.Sprintf("%q in space %q (stripe %s, bucket %v)", k.Key, k.Space, stripe, b)
}
