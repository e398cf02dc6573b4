package verify

import (
	"slices"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/repair/plan"
)

// A Difference is a document that members keep differently, or a bucket whose digest is
// wrong on one of them.
type Difference struct {
	Stripe    string
	Partition layout.PartitionID
	Bucket    layout.Bucket
	// Key is of the document; zero where only the digests of the bucket differ, and its
	// documents do not.
	Key contract.Key
	// Views are what every member says of the document, in the order of the members; none
	// for a bucket.
	Views []plan.View
	// Decisions are what each of them has to do about it.
	Decisions []plan.Decision
}

// Right are the members whose copy stays. Those that are neither right nor wrong have not
// been asked, or nobody can tell.
func (d *Difference) Right() []string { return d.hosts(plan.Nothing) }

// Wrong are the members whose copy has to change.
func (d *Difference) Wrong() []string { return d.hosts(plan.Pull, plan.Drop) }

func (d *Difference) hosts(does ...plan.Action) (hosts []string) {
	for i, v := range d.Views {
		if v.Unknown == "" && !v.Heals && slices.Contains(does, d.Decisions[i].Action) {
			hosts = append(hosts, v.Host)
		}
	}
	return hosts
}

// Rule is the rule that decides who is right.
func (d *Difference) Rule() string {
	if d.Key == (contract.Key{}) {
		return "the documents are equal and the digests kept of them are not: a scrub mends the wrong one"
	}
	for _, does := range []plan.Action{plan.Undecided, plan.Pull, plan.Drop} {
		for i := range d.Decisions {
			if d.Views[i].Unknown == "" && d.Decisions[i].Action == does {
				return d.Decisions[i].Rule
			}
		}
	}
	return ""
}

// comparedDocuments finds the documents by which buckets differ, and asks every member
// for its copy of them.
func (s *stripe) comparedDocuments() {
	for _, n := range s.looking {
		found := s.suspicious(n)
		if len(found) == 0 {
			s.looked(n)
			continue
		}
		if len(s.order) > 0 && len(s.order)+len(found) > mostSuspect {
			continue // its turn comes in the next pass
		}
		if more := len(found) - mostSuspect; more > 0 {
			found, s.more = found[:mostSuspect], s.more+more
		}
		for _, k := range found {
			s.suspects[k] = make([]plan.View, len(s.members))
			s.order = append(s.order, k)
		}
	}
	s.step = atDoc
	for _, k := range s.order {
		for _, host := range s.Members {
			s.ask(Question{Kind: Document, Host: host, Stripe: s.Name, Bucket: layout.BucketOf(k.Space, k.Key), Key: k})
		}
	}
}

// suspicious are the documents of a bucket in which two members differ, and which the log
// will not make equal.
func (s *stripe) suspicious(n int) (keys []contract.Key) {
	for a := range s.members {
		for b := range a {
			x, told := s.members[a].docs[n]
			y, alsoTold := s.members[b].docs[n]
			if !told || !alsoTold {
				continue
			}
			for _, f := range plan.Documents(x.side, y.side, x.docs, y.docs) {
				if f.Verdict != plan.Lag && !slices.Contains(keys, f.Mine.Key) {
					keys = append(keys, f.Mine.Key)
				}
			}
		}
	}
	slices.SortFunc(keys, contract.Key.Compare)
	return keys
}

// looked notes that a bucket's documents do not differ although its digests did. That may
// be because they were made equal in between.
func (s *stripe) looked(n int) {
	t := &s.buckets[n]
	if !s.looks[n] {
		return // they differed as the log makes them differ
	}
	told := 0
	for i := range s.members {
		if _, ok := s.members[i].docs[n]; ok {
			told++
		}
	}
	if told < 2 {
		return // nothing was compared
	}
	if t.looks++; t.looks >= wrongAfter {
		s.differ(n, Difference{})
	}
}

func (s *stripe) differ(n int, d Difference) {
	t := &s.buckets[n]
	t.differs = true
	t.forget()
	if len(s.differs) == mostDiffers {
		s.more++
		return
	}
	d.Stripe, d.Bucket = s.Name, t.bucket
	for _, p := range s.Partitions {
		if p.Has(t.bucket) {
			d.Partition = p.ID
		}
	}
	s.differs = append(s.differs, d)
}

// decided says which of the documents differ still, now that all members have said what
// they have.
func (s *stripe) decided() {
	wrong := map[int]bool{} // buckets with documents that differ
	for _, k := range s.order {
		n := s.place(layout.BucketOf(k.Space, k.Key))
		if n < 0 {
			continue
		}
		if _, known := wrong[n]; !known {
			wrong[n] = false
		}
		d := Difference{Key: k, Views: s.suspects[k]}
		for _, host := range s.Members {
			d.Decisions = append(d.Decisions, plan.Decide(host, d.Views))
		}
		if d.real() {
			wrong[n] = true
			s.differ(n, d)
		}
	}
	for n, is := range wrong {
		if !is {
			s.looked(n)
		}
	}
}

// real tells whether somebody has to do something, or nobody knows what.
func (d *Difference) real() bool {
	for i := range d.Views {
		if d.Views[i].Unknown == "" && !d.Views[i].Heals && d.Decisions[i].Action != plan.Nothing {
			return true
		}
	}
	return false
}
