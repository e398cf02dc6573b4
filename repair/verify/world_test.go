package verify

import (
	"fmt"
	"slices"
	"strconv"
	"sync"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// A fault is what is wrong with a member's copy of a document.
type fault string

const (
	lost     fault = "lost"    // it is not there
	other    fault = "other"   // it has another content
	damaged  fault = "damaged" // its state cannot be read
	oldValue fault = "old"     // it is as after its first change
)

// A world is one stripe of several members, their log, and what is wrong with them. It
// answers as members do.
type world struct {
	stripe  Stripe
	keys    []contract.Key
	in      map[layout.Bucket][]contract.Key // of keys, in the order of their names
	log     int                              // records
	changes map[contract.Key][]int           // records that change a document
	applied map[string]int
	wrong   map[string]map[contract.Key]fault
	kept    map[string]map[layout.Bucket]bool // digests that are wrong
	down    map[string]string
	sick    map[string]string
	before  func(Question) // called before each answer
}

const birth = 7

// names are those of documents in each bucket of a world, as many as any test wants.
var names = sync.OnceValue(func() map[layout.Bucket][]string {
	of := map[layout.Bucket][]string{0: nil, 1: nil, 2: nil, 3: nil, 8: nil, 9: nil, 10: nil, 11: nil}
	for i, full := 0, 0; full < len(of); i++ {
		name := strconv.Itoa(i)
		b := layout.BucketOf("s", name)
		if list, ours := of[b]; ours {
			if of[b] = append(list, name); len(of[b]) == mostSuspect+5 {
				full++
			}
		}
	}
	return of
})

// newWorld has two partitions of four buckets, and so many documents in each bucket.
func newWorld(members, docs int) *world {
	w := &world{
		applied: map[string]int{}, wrong: map[string]map[contract.Key]fault{}, kept: map[string]map[layout.Bucket]bool{},
		down: map[string]string{}, sick: map[string]string{}, before: func(Question) {},
		in: map[layout.Bucket][]contract.Key{}, changes: map[contract.Key][]int{},
	}
	w.stripe = Stripe{Name: "s1", Birth: birth, Partitions: []layout.Partition{{ID: 3, First: 0, Last: 3, Stripe: "s1"}, {ID: 9, First: 8, Last: 11, Stripe: "s1"}}}
	for i := range members {
		host := fmt.Sprintf("h%d", i+1)
		w.stripe.Members = append(w.stripe.Members, host)
		w.wrong[host], w.kept[host] = map[contract.Key]fault{}, map[layout.Bucket]bool{}
	}
	for b, names := range names() {
		for _, name := range names[:docs] {
			w.keys, w.in[b] = append(w.keys, contract.Key{Space: "s", Key: name}), append(w.in[b], contract.Key{Space: "s", Key: name})
		}
	}
	slices.SortFunc(w.keys, contract.Key.Compare)
	for _, keys := range w.in {
		slices.SortFunc(keys, contract.Key.Compare)
	}
	for range 2 {
		for _, k := range w.keys {
			w.write(k)
		}
	}
	return w
}

// write appends a record that everybody applies.
func (w *world) write(k contract.Key) {
	w.append(k)
	for _, host := range w.stripe.Members {
		w.applied[host] = w.log
	}
}

func (w *world) append(k contract.Key) {
	w.log++
	w.changes[k] = append(w.changes[k], w.log)
}

func (w *world) apply(host string, n int) { w.applied[host] = min(w.log, w.applied[host]+n) }

func at(n int) position.Position { return position.Position{Birth: birth, Seq: uint64(n)} }

func (w *world) side(host string) plan.Side {
	return plan.Side{Host: host, Applied: at(w.applied[host])}
}

// docs are those of a bucket that a member has, in the order of their names.
func (w *world) docs(host string, b layout.Bucket) (docs []plan.Doc) {
	for _, k := range w.in[b] {
		if d := w.doc(host, k); !d.Absent() {
			docs = append(docs, d)
		}
	}
	return docs
}

func (w *world) doc(host string, k contract.Key) plan.Doc {
	n, _ := slices.BinarySearch(w.changes[k], w.applied[host]+1) // changes that it has applied
	var first, last int
	if n > 0 {
		first, last = w.changes[k][0], w.changes[k][n-1]
	}
	if n == 0 || w.wrong[host][k] == lost {
		return plan.Doc{Key: k}
	}
	if w.wrong[host][k] == oldValue {
		last, n = first, 1
	}
	d := plan.Doc{Key: k, Position: at(last), Incarnation: at(first), Head: int32(n), Live: true, Digest: digest.Of([]byte(fmt.Sprint(k, last)))}
	switch w.wrong[host][k] {
	case other:
		d.Digest = digest.Of([]byte("other"))
	case damaged:
		return plan.Doc{Key: k, Damaged: "checksum"}
	}
	return d
}

// state is the digest that a member keeps: as of when its copies were well.
func (w *world) state(host string, b layout.Bucket) plan.BucketState {
	s := plan.BucketState{Bucket: b}
	for _, d := range w.docs(host, b) {
		s.Digest = s.Digest.Add(d.Digest)
		if s.Position.Less(d.Position) {
			s.Position = d.Position
		}
	}
	if w.kept[host][b] {
		s.Digest = s.Digest.Add(digest.Of([]byte("wrong")))
	}
	return s
}

func (w *world) answer(q Question) Answer {
	w.before(q)
	if why := w.down[q.Host]; why != "" {
		return Answer{Why: why}
	}
	if why := w.sick[q.Host]; why != "" {
		return Answer{Why: why, Sick: true}
	}
	a := Answer{Side: w.side(q.Host)}
	for _, p := range w.stripe.Partitions {
		var states []plan.BucketState
		for b := p.First; b <= p.Last; b++ {
			states = append(states, w.state(q.Host, b))
		}
		a.Partitions = append(a.Partitions, PartitionRoot{p.ID, plan.RootOf(states)})
	}
	switch q.Kind {
	case Buckets:
		for _, id := range q.Partitions {
			i := slices.IndexFunc(w.stripe.Partitions, func(p layout.Partition) bool { return p.ID == id })
			for b := w.stripe.Partitions[i].First; b <= w.stripe.Partitions[i].Last; b++ {
				a.Buckets = append(a.Buckets, w.state(q.Host, b))
			}
		}
	case Index:
		a.Docs = w.docs(q.Host, q.Bucket)
	case Document:
		a.Docs = []plan.Doc{w.doc(q.Host, q.Key)}
	}
	return a
}

// pass asks until there is nothing to ask, in the order that pick chooses.
func (w *world) pass(r *Run, pick func(n int) int) {
	var open []Question
	for {
		open = append(open, r.Questions()...)
		if len(open) == 0 {
			return
		}
		i := pick(len(open))
		q := open[i]
		open = slices.Delete(open, i, i+1)
		r.Tell(q, w.answer(q))
	}
}

// verify does so many passes at most.
func (w *world) verify(passes int, pick func(n int) int) Report {
	r := New([]Stripe{w.stripe})
	w.pass(r, pick)
	for range passes - 1 {
		if !r.Again() {
			break
		}
		w.pass(r, pick)
	}
	return r.Report()
}

func inOrder(int) int { return 0 }
