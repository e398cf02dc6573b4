package plan

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// A plan is a file, described in repair/DESIGN.md: JSON, of a format and version of its
// own.
const (
	fileFormat  = "trireme-repair-plan"
	fileVersion = 1
)

// MaxFile bounds a plan's file, in bytes.
const MaxFile = 256 << 20

type (
	planFile struct {
		Format       string       `json:"format"`
		Version      int          `json:"version"`
		Host         string       `json:"host"`
		Layout       uint64       `json:"layout"`
		LayoutDigest string       `json:"layout_digest"`
		Stripes      []stripeFile `json:"stripes"`
		Operations   []opFile     `json:"operations"`
		Undecided    []openFile   `json:"undecided"`
	}
	stripeFile struct {
		Stripe  string   `json:"stripe"`
		Birth   uint32   `json:"birth"`
		Applied string   `json:"applied"`
		Horizon string   `json:"horizon"`
		Root    string   `json:"root"`
		Peers   []string `json:"peers"`
	}
	seenFile struct {
		Position string `json:"position"`
		Digest   string `json:"digest"`
	}
	opFile struct {
		Op      string        `json:"op"`
		Verdict string        `json:"verdict"`
		Stripe  string        `json:"stripe"`
		Bucket  layout.Bucket `json:"bucket"`
		Space   string        `json:"space"`
		Key     string        `json:"key"`
		Here    *seenFile     `json:"here"` // null for none, and for one that cannot be read
		Damaged bool          `json:"damaged"`
		Right   *seenFile     `json:"right"` // null for what is dropped
		From    []string      `json:"from"`
		Rule    string        `json:"rule"`
	}
	openFile struct {
		Stripe string        `json:"stripe"`
		Bucket layout.Bucket `json:"bucket"`
		Space  string        `json:"space"`
		Key    string        `json:"key"`
		Rule   string        `json:"rule"`
		Asks   []string      `json:"asks"`
	}
)

// MarshalJSON writes the plan as [Parse] reads it. It checks nothing.
func (p Plan) MarshalJSON() ([]byte, error) {
	f := planFile{
		Format: fileFormat, Version: fileVersion,
		Host: p.Host, Layout: p.Layout, LayoutDigest: p.LayoutDigest,
		Stripes: []stripeFile{}, Operations: []opFile{}, Undecided: []openFile{},
	}
	for i := range p.Stripes {
		s := &p.Stripes[i]
		f.Stripes = append(f.Stripes, stripeFile{s.Stripe, s.Birth, s.Applied.String(), s.Horizon.String(), s.Root.String(), some(s.Peers)})
	}
	for i := range p.Ops {
		o := &p.Ops[i]
		f.Operations = append(f.Operations, opFile{
			Op: o.Kind.String(), Verdict: o.Verdict.String(), Stripe: o.Stripe, Bucket: o.Bucket, Space: o.Key.Space, Key: o.Key.Key,
			Here: o.Here.file(), Damaged: o.Damaged, Right: o.Right.file(), From: some(o.From), Rule: o.Rule,
		})
	}
	for i := range p.Undecided {
		o := &p.Undecided[i]
		f.Undecided = append(f.Undecided, openFile{o.Stripe, o.Bucket, o.Key.Space, o.Key.Key, o.Rule, some(o.Asks)})
	}
	return json.Marshal(f)
}

// some is a list that is never null.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (s Seen) file() *seenFile {
	if s == (Seen{}) {
		return nil
	}
	return &seenFile{s.Position.String(), s.Digest.String()}
}

// UnmarshalJSON is [Parse].
func (p *Plan) UnmarshalJSON(text []byte) error {
	q, err := Parse(text)
	if err == nil {
		*p = q
	}
	return err
}

// Parse reads a plan. It refuses what a plan cannot say, naming every fault with its
// field and value: a file that was edited, or cut short, changes nothing.
func Parse(text []byte) (Plan, error) {
	if len(text) > MaxFile {
		return Plan{}, fmt.Errorf("plan of %d bytes: at most %d fit; plan one stripe or partition at a time", len(text), MaxFile)
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return Plan{}, fmt.Errorf("plan: %w: make it again", err)
	}
	if head.Format != fileFormat || head.Version != fileVersion {
		return Plan{}, fmt.Errorf("plan: format is %q, version %d; this program reads %q, version %d: make the plan again with this program", head.Format, head.Version, fileFormat, fileVersion)
	}
	var f planFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Plan{}, fmt.Errorf("plan: %w: make it again", err)
	}
	r := reading{stripes: map[string]bool{}, documents: map[contract.Key]string{}}
	p := r.plan(&f)
	if err := errors.Join(r.faults...); err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

// A reading gathers what is wrong with a plan.
type reading struct {
	faults    []error
	stripes   map[string]bool
	documents map[contract.Key]string // where each is
}

// maxFaults is how many are told.
const maxFaults = 20

func (r *reading) fault(field, format string, args ...any) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
}

func (r *reading) plan(f *planFile) Plan {
	r.name("host", f.Host)
	p := Plan{Host: f.Host, Layout: f.Layout, LayoutDigest: f.LayoutDigest}
	for i := range f.Stripes {
		p.Stripes = append(p.Stripes, r.stripe(fmt.Sprintf("stripes[%d]", i), &f.Stripes[i]))
	}
	for i := range f.Operations {
		p.Ops = append(p.Ops, r.op(fmt.Sprintf("operations[%d]", i), f.Host, &f.Operations[i]))
	}
	for i := range f.Undecided {
		p.Undecided = append(p.Undecided, r.open(fmt.Sprintf("undecided[%d]", i), &f.Undecided[i]))
	}
	return p
}

func (r *reading) stripe(at string, f *stripeFile) StripeSeen {
	r.name(at+".stripe", f.Stripe)
	if r.stripes[f.Stripe] {
		r.fault(at+".stripe", "%q is there twice: each stripe once", f.Stripe)
	}
	r.stripes[f.Stripe] = true
	if f.Birth == 0 {
		r.fault(at+".birth", "0: births are counted from 1")
	}
	return StripeSeen{
		Stripe: f.Stripe, Birth: f.Birth, Applied: r.position(at+".applied", f.Applied), Horizon: r.position(at+".horizon", f.Horizon),
		Root: r.digest(at+".root", f.Root), Peers: r.names(at+".peers", f.Peers),
	}
}

func (r *reading) op(at, host string, f *opFile) Op {
	o := Op{
		Kind: r.action(at+".op", f.Op), Verdict: r.verdict(at+".verdict", f.Verdict), Stripe: f.Stripe, Bucket: f.Bucket, Damaged: f.Damaged,
		Key: r.document(at, f.Stripe, f.Bucket, f.Space, f.Key), Here: r.seen(at+".here", f.Here), Right: r.seen(at+".right", f.Right),
		From: r.names(at+".from", f.From), Rule: f.Rule,
	}
	for _, from := range f.From {
		if from == host {
			r.fault(at+".from", "%q is the host itself: it pulls from others", host)
		}
	}
	switch {
	case o.Kind == Pull && (o.Right == Seen{} || len(o.From) == 0):
		r.fault(at, "a pull needs right and from: which copy, and which hosts have it")
	case o.Kind == Drop && (o.Right != Seen{} || len(o.From) > 0):
		r.fault(at, "a drop has neither right nor from")
	case o.Here == Seen{} && o.Kind == Drop && !o.Damaged:
		r.fault(at+".here", "null: there is nothing to drop")
	}
	return o
}

func (r *reading) open(at string, f *openFile) Open {
	return Open{Stripe: f.Stripe, Bucket: f.Bucket, Key: r.document(at, f.Stripe, f.Bucket, f.Space, f.Key), Rule: f.Rule, Asks: r.names(at+".asks", f.Asks)}
}

// document checks what names a document.
func (r *reading) document(at, stripe string, b layout.Bucket, space, key string) contract.Key {
	k := contract.Key{Space: space, Key: key}
	if !r.stripes[stripe] {
		r.fault(at+".stripe", "%q is not among the stripes", stripe)
	}
	if err := contract.CheckKey(k); err != nil {
		r.fault(at, "%v", err)
	} else if is := layout.BucketOf(space, key); is != b {
		r.fault(at+".bucket", "%v: document %q in space %q is in bucket %v", b, key, space, is)
	}
	if first, twice := r.documents[k]; twice {
		r.fault(at, "document %q in space %q is in %s too: each document once", key, space, first)
	}
	r.documents[k] = at
	return k
}

func (r *reading) action(at, s string) Action {
	switch s {
	case Pull.String():
		return Pull
	case Drop.String():
		return Drop
	}
	r.fault(at, "%q: want %v or %v", s, Pull, Drop)
	return 0
}

func (r *reading) verdict(at, s string) Verdict {
	v, err := ParseVerdict(s)
	if err == nil && v != Missing && v != Divergence && v != Corruption && v != Gone {
		err = fmt.Errorf("%q: nothing is done about that; want %v, %v, %v or %v", s, Missing, Divergence, Corruption, Gone)
	}
	if err != nil {
		r.fault(at, "%v", err)
	}
	return v
}

func (r *reading) seen(at string, f *seenFile) Seen {
	if f == nil {
		return Seen{}
	}
	s := Seen{r.position(at+".position", f.Position), r.digest(at+".digest", f.Digest)}
	if s.Position.IsZero() {
		r.fault(at+".position", "%s: no document was changed there; where there is none, this is null", f.Position)
	}
	return s
}

func (r *reading) position(at, s string) position.Position {
	p, err := position.Parse(s)
	if err != nil {
		r.fault(at, "%v", err)
	}
	return p
}

func (r *reading) digest(at, s string) (d digest.Digest) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) || hex.EncodeToString(b) != s {
		r.fault(at, "%q: want %d lower-case hexadecimal digits", s, 2*len(d))
		return d
	}
	copy(d[:], b)
	return d
}

func (r *reading) name(at, s string) {
	if err := layout.CheckName(s); err != nil {
		r.fault(at, "%q: %v", s, err)
	}
}

// names checks a list; an empty one is nil.
func (r *reading) names(at string, list []string) []string {
	for _, s := range list {
		r.name(at, s)
	}
	if len(list) == 0 {
		return nil
	}
	return list
}
