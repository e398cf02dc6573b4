package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/ops"
	"trireme/repair"
	"trireme/repair/plan"
)

func (a *app) docExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain SPACE KEY", Short: "Show a document on every member side by side, and who is right",
		Long: `Show a document on every member of its stripe side by side, as each reads and checks
it on its disk now, and say what each of them does about its copy and by which rule.

  HEAD      the seq of the last change       POSITION  of the last change in the log
  APPLIED   up to where the member has applied the log; a copy that is older than
            another one is no fault while its member has not applied that far
  COPY      whole, damaged (it fails its own check), tombstone (deleted, and that is
            remembered) or absent

The exit code is 3 when a copy has to change, or nobody can tell which is right.`,
		Example: "  trireme doc explain game chess\n  trireme doc explain game chess -o json",
		Args:    arguments("SPACE", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k := contract.Key{Space: args[0], Key: args[1]}
			if err := contract.CheckKey(k); err != nil {
				return &failure{exit: exitUsage, err: err}
			}
			c, err := a.comparer(cmd)
			if err != nil {
				return err
			}
			defer c.watch.close()
			v, err := c.explain(cmd.Context(), k)
			if err != nil {
				return err
			}
			if err := a.answer(v, v.print); err != nil {
				return err
			}
			return degraded(!v.Equal)
		},
	}
}

// An explainView is a document on every member.
type explainView struct {
	Space     string     `json:"space"`
	Key       string     `json:"key"`
	Bucket    string     `json:"bucket"`
	Partition string     `json:"partition"`
	Stripe    string     `json:"stripe"`
	Layout    uint64     `json:"layout"`
	Equal     bool       `json:"equal"` // no copy that is known has to change, but by the log
	Members   []copyView `json:"members"`
}

// A copyView is one member's copy, and what it does about it.
type copyView struct {
	Host        string   `json:"host"`
	Unknown     string   `json:"unknown,omitempty"` // why it could not be asked; then nothing else is set
	Sick        string   `json:"sick,omitempty"`    // why its copy counts for nothing
	Applied     string   `json:"applied"`
	Horizon     string   `json:"horizon"` // tombstones up to it were released
	Copy        string   `json:"copy"`    // whole, damaged, tombstone or absent
	Damage      string   `json:"damage,omitempty"`
	Head        int32    `json:"head"`
	Incarnation string   `json:"incarnation"`
	Position    string   `json:"position"`
	Digest      string   `json:"digest"`
	Marked      bool     `json:"marked"` // being deleted
	Bytes       int      `json:"bytes"`  // of all its rows, 0 where they are not whole
	Verdict     string   `json:"verdict"`
	Action      string   `json:"action"` // keep, wait, pull, drop, heal or undecided
	From        []string `json:"from"`
	Rule        string   `json:"rule"`
	Asks        []string `json:"asks"` // whose answer might decide it
}

// explain asks every member.
func (c *comparer) explain(ctx context.Context, k contract.Key) (*explainView, error) {
	b := layout.BucketOf(k.Space, k.Key)
	s, ok := c.layout.StripeOf(b)
	if !ok {
		return nil, fmt.Errorf("no stripe of layout %d carries bucket %v", c.layout.Version, b)
	}
	p, _ := c.layout.PartitionOf(b)
	copies, errs := make([]repair.Copy, len(s.Hosts)), make([]error, len(s.Hosts))
	var all sync.WaitGroup
	for i, host := range s.Hosts {
		all.Go(func() { copies[i], errs[i] = c.peer.Document(ctx, host, k) })
	}
	all.Wait()
	if !slices.Contains(errs, nil) {
		return nil, told(errs[0])
	}
	views := make([]plan.View, len(s.Hosts))
	for i, host := range s.Hosts {
		views[i] = viewOfCopy(host, &copies[i], errs[i])
	}
	v := &explainView{Space: k.Space, Key: k.Key, Bucket: b.String(), Partition: p.ID.String(), Stripe: s.Name, Layout: c.layout.Version, Equal: true}
	for i, host := range s.Hosts {
		d := plan.Decide(host, views)
		v.Members = append(v.Members, copyOf(host, &copies[i], errs[i], &d))
		v.Equal = v.Equal && (errs[i] != nil || copies[i].Sick != "" || d.Action == plan.Nothing)
	}
	return v, nil
}

// viewOfCopy is what a member says, as the rules see it.
func viewOfCopy(host string, c *repair.Copy, err error) plan.View {
	switch {
	case err != nil:
		return plan.Unknown(host, err.Error())
	case c.Sick != "":
		return plan.Unknown(host, "it is sick: "+c.Sick)
	}
	v := plan.View{Side: c.Side, Doc: c.Doc}
	v.Host = host
	return v
}

func copyOf(host string, c *repair.Copy, err error, d *plan.Decision) copyView {
	if err != nil {
		return copyView{Host: host, Unknown: err.Error(), From: []string{}, Asks: []string{}}
	}
	v := copyView{
		Host: host, Sick: c.Sick, Applied: positionText(c.Side.Applied), Horizon: positionText(c.Side.Horizon),
		Copy: copyWord(&c.Doc), Damage: c.Doc.Damaged, Head: c.Doc.Head, Incarnation: positionText(c.Doc.Incarnation),
		Position: positionText(c.Doc.Position), Marked: c.Doc.Marked, Bytes: c.Image,
		Verdict: d.Verdict.String(), Action: actionWord(d), From: append([]string{}, d.From...), Rule: d.Rule, Asks: append([]string{}, d.Asks...),
	}
	if !c.Doc.Digest.IsZero() {
		v.Digest = c.Doc.Digest.String()
	}
	if c.Sick != "" {
		v.Verdict, v.Action, v.From, v.Asks = "", "heal", []string{}, []string{}
		v.Rule = "the member is sick and heals: its copy counts for nothing until then"
	}
	return v
}

func positionText(p position.Position) string {
	if p.IsZero() {
		return ""
	}
	return p.String()
}

func copyWord(d *plan.Doc) string {
	switch {
	case d.Damaged != "":
		return "damaged"
	case d.Absent():
		return "absent"
	case d.Live:
		return "whole"
	}
	return "tombstone"
}

func actionWord(d *plan.Decision) string {
	switch {
	case d.Action == plan.Pull:
		return "pull"
	case d.Action == plan.Drop:
		return "drop"
	case d.Action == plan.Undecided:
		return "undecided"
	case d.Verdict == plan.Lag:
		return "wait"
	}
	return "keep"
}

func (v *explainView) print(w io.Writer) {
	fmt.Fprintf(w, "%s %s: bucket %s, partition %s, stripe %s, layout %d\n\n", v.Space, v.Key, v.Bucket, v.Partition, v.Stripe, v.Layout)
	lines := [][]string{{"HOST", "COPY", "HEAD", "INCARNATION", "POSITION", "DIGEST", "SIZE", "APPLIED", "HORIZON"}}
	for i := range v.Members {
		lines = append(lines, v.Members[i].row())
	}
	rows(w, lines)
	fmt.Fprintln(w)
	for _, line := range v.does() {
		fmt.Fprintln(w, line)
	}
}

// does says what is wrong with the copies, and what the members do; those that do the
// same are told of together.
func (v *explainView) does() (lines []string) {
	hosts, order := map[string][]string{}, []string{}
	for i := range v.Members {
		m := &v.Members[i]
		if m.Unknown != "" {
			lines = append(lines, fmt.Sprintf("%s is not known: %s", m.Host, oneLine(m.Unknown, 200)))
			continue
		}
		if m.Damage != "" {
			lines = append(lines, fmt.Sprintf("%s is damaged: %s", m.Host, oneLine(m.Damage, 200)))
		}
		does := m.does()
		if hosts[does] == nil {
			order = append(order, does)
		}
		hosts[does] = append(hosts[does], m.Host)
	}
	for _, does := range order {
		lines = append(lines, strings.Join(hosts[does], ", ")+" "+does)
	}
	return lines
}

// row is a copy in a line. A digest is long enough there to tell two apart.
func (m *copyView) row() []string {
	if m.Unknown != "" {
		return []string{m.Host, "unknown", "-", "-", "-", "-", "-", "-", "-"}
	}
	head, size, word := "-", "-", m.Copy
	if m.Copy == "whole" || m.Copy == "damaged" && m.Position != "" {
		head = strconv.Itoa(int(m.Head))
	}
	if m.Bytes > 0 {
		size = ops.Bytes(m.Bytes)
	}
	if m.Marked {
		word += ", marked"
	}
	if m.Sick != "" {
		word += ", sick"
	}
	return []string{m.Host, word, head, orNone(m.Incarnation), orNone(m.Position), orNone(m.Digest[:min(12, len(m.Digest))]), size, orNone(m.Applied), orNone(m.Horizon)}
}

// does says what the member does about its copy, and why.
func (m *copyView) does() string {
	switch m.Action {
	case "heal":
		return fmt.Sprintf("(sick: %s): %s", oneLine(m.Sick, 100), m.Rule)
	case "pull":
		return fmt.Sprintf("(%s): to be pulled from %s: %s", m.Verdict, strings.Join(m.From, " or "), m.Rule)
	case "drop":
		return fmt.Sprintf("(%s): to be dropped: %s", m.Verdict, m.Rule)
	case "undecided":
		return fmt.Sprintf("(%s): undecided: %s%s", m.Verdict, m.Rule, orText("; it might be known by ", strings.Join(m.Asks, ", ")))
	case "wait":
		return "(lag): the log brings it: " + m.Rule
	}
	if m.Copy == "absent" {
		return "(same): nothing is there: " + m.Rule
	}
	return "(same): stays: " + m.Rule
}
