package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"slices"
	"time"

	"trireme/repair"
	"trireme/repair/verify"
)

// evidenceVersion is the version of the evidence. New fields may come; a change of
// meaning raises it.
const evidenceVersion = 1

// An evidence is what a verification has found.
type evidence struct {
	Event        string         `json:"event"` // result
	Version      int            `json:"evidence_version"`
	Verdict      verify.Verdict `json:"verdict"` // PASS, FAIL or INCOMPLETE
	Began        time.Time      `json:"began"`
	Ended        time.Time      `json:"ended"`
	By           evidenceBy     `json:"by"`
	Cluster      string         `json:"cluster"`
	Layout       uint64         `json:"layout"`
	LayoutDigest string         `json:"layout_digest"`

	Stripes     []evidenceStripe     `json:"stripes"`
	Differences []evidenceDifference `json:"differences"`
	More        int                  `json:"more_differences"` // that are not among them
	Damaged     []evidenceDamaged    `json:"damaged"`          // hosts that know of damaged documents, not repaired
	Deep        *evidenceDeep        `json:"deep"`             // null without --deep
}

// evidenceBy is who asked.
type evidenceBy struct {
	User    string `json:"user"`
	Machine string `json:"machine"`
	Program string `json:"program"` // version of trireme
	Server  string `json:"server"`  // that was asked first
}

type evidenceStripe struct {
	Stripe   string           `json:"stripe"`
	Birth    uint32           `json:"birth"`
	Position string           `json:"position"` // what was written up to it has been compared
	Buckets  int              `json:"buckets"`
	Equal    int              `json:"equal_buckets"` // on all members
	Members  []evidenceMember `json:"members"`
}

type evidenceMember struct {
	Host       string         `json:"host"`
	Applied    string         `json:"applied"` // when it told last; "" when it has not
	Horizon    string         `json:"horizon"`
	Compared   int            `json:"compared_buckets"` // that were equal to another member's
	Differs    int            `json:"different_buckets"`
	Why        string         `json:"why,omitempty"` // not all were compared
	Partitions []evidenceRoot `json:"partitions"`    // as of applied
}

type evidenceRoot struct {
	Partition string `json:"partition"`
	Position  string `json:"position"` // of the last change in it
	Root      string `json:"root"`
}

// An evidenceDifference is a document that members keep differently. Without space and
// key it is a bucket whose documents are equal while the digests kept of them are not.
type evidenceDifference struct {
	Stripe    string     `json:"stripe"`
	Partition string     `json:"partition"`
	Bucket    string     `json:"bucket"`
	Space     string     `json:"space"`
	Key       string     `json:"key"`
	Right     []string   `json:"right"` // members whose copy stays; none when nobody can tell
	Wrong     []string   `json:"wrong"`
	Rule      string     `json:"rule"` // that decides
	Copies    []copyView `json:"copies"`
}

type evidenceDamaged struct {
	Host      string `json:"host"`
	Documents int    `json:"documents"`
}

// evidenceDeep is what re-reading the disks has shown.
type evidenceDeep struct {
	Complete bool         `json:"complete"` // every host has re-read all of its store
	Hosts    []jobOutcome `json:"hosts"`
	Missing  []string     `json:"missing"` // hosts that were not asked
}

// found makes the evidence.
func (v *verification) found() *evidence {
	report := v.verify.Report()
	e := &evidence{
		Event: "result", Version: evidenceVersion, Verdict: report.Verdict, Began: v.began, Ended: time.Now().UTC(),
		By: evidenceBy{Program: thisBuild().Version, Server: v.watch.at()}, Cluster: v.cluster.first.Cluster,
		Layout: v.layout.Version, LayoutDigest: v.digest,
		Stripes: []evidenceStripe{}, Differences: []evidenceDifference{}, More: report.More, Damaged: []evidenceDamaged{},
	}
	if who, err := user.Current(); err == nil { // it may be nobody that the machine knows
		e.By.User = who.Username
	}
	e.By.Machine, _ = os.Hostname()
	for i := range report.Stripes {
		e.Stripes = append(e.Stripes, v.stripe(&report.Stripes[i]))
	}
	for i := range report.Differences {
		e.Differences = append(e.Differences, differenceOf(&report.Differences[i]))
	}
	for _, d := range report.Damaged {
		e.Damaged = append(e.Damaged, evidenceDamaged(d))
	}
	if v.flags.deep {
		e.Deep = v.deep()
		if !e.Deep.Complete && e.Verdict == verify.Pass {
			e.Verdict = verify.Incomplete
		}
	}
	return e
}

func (v *verification) stripe(s *verify.StripeReport) evidenceStripe {
	told := evidenceStripe{
		Stripe: s.Stripe.Name, Birth: s.Stripe.Birth, Position: positionText(s.Position), Buckets: s.Buckets, Equal: s.Equal, Members: []evidenceMember{},
	}
	for i := range s.Members {
		m := &s.Members[i]
		member := evidenceMember{
			Host: m.Host, Applied: positionText(m.Applied), Horizon: positionText(m.Horizon), Compared: m.Compared, Differs: m.Differs, Partitions: []evidenceRoot{},
		}
		if m.Why != "" {
			member.Why = v.reason(s.Stripe.Name, m)
		}
		for _, p := range m.Roots {
			member.Partitions = append(member.Partitions, evidenceRoot{p.Partition.String(), positionText(p.Root.Position), p.Root.Digest.String()})
		}
		told.Members = append(told.Members, member)
	}
	return told
}

func differenceOf(d *verify.Difference) evidenceDifference {
	told := evidenceDifference{
		Stripe: d.Stripe, Partition: d.Partition.String(), Bucket: d.Bucket.String(), Space: d.Key.Space, Key: d.Key.Key,
		Right: append([]string{}, d.Right()...), Wrong: append([]string{}, d.Wrong()...), Rule: d.Rule(), Copies: []copyView{},
	}
	for i := range d.Views {
		view := &d.Views[i]
		var err error
		if view.Unknown != "" {
			err = fmt.Errorf("%s", view.Unknown)
		}
		told.Copies = append(told.Copies, copyOf(view.Host, &repair.Copy{Side: view.Side, Doc: view.Doc}, err, &d.Decisions[i]))
	}
	return told
}

// deep is what the scrubs have shown.
func (v *verification) deep() *evidenceDeep {
	d := &evidenceDeep{Complete: true, Hosts: v.scrubs, Missing: []string{}}
	for _, h := range v.layout.Hosts {
		i := slices.IndexFunc(v.scrubs, func(x jobOutcome) bool { return x.Host == h.Name })
		if i < 0 {
			d.Missing = append(d.Missing, h.Name)
		}
		d.Complete = d.Complete && i >= 0 && v.scrubs[i].Error == nil
	}
	return d
}

func indented(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	return append(text, '\n'), err
}
