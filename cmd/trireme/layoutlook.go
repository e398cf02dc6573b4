package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trireme/internal/layout"
	"trireme/internal/layoutfile"
)

// A layoutVerdict says of one file whether it is good, as -o json tells it.
type layoutVerdict struct {
	Location   string   `json:"location"`
	Valid      bool     `json:"valid"`
	Version    uint64   `json:"version,omitempty"`
	Digest     string   `json:"digest,omitempty"`
	Hosts      int      `json:"hosts"`
	Stripes    int      `json:"stripes"`
	Partitions int      `json:"partitions"`
	Follows    *bool    `json:"follows,omitempty"` // whether a cluster takes it; with --follows only
	Faults     []string `json:"faults"`
	size       string
	unreadable bool
}

func (v *layoutVerdict) bad() bool { return !v.Valid || v.Follows != nil && !*v.Follows }

func (a *app) layoutValidateCommand() *cobra.Command {
	var follows string
	c := &cobra.Command{
		Use: "validate FILE|URL...", Short: "Name every fault of layout files",
		Long: `Name every fault of layout files, each with its line and what to do about it.

With --follows it also says whether a cluster that runs OLD takes them. The exit
code is 3 when there is a fault.`,
		Example: `  trireme layout validate layout.conf
  trireme layout validate new.conf --follows layout.conf
  trireme layout validate https://conf.example/layout.conf -o json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("%s: FILE is missing", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var old *layout.Layout
			if follows != "" {
				l, err := a.readLayout(cmd, follows)
				if err != nil {
					return err
				}
				old = &l
			}
			verdicts, bad := []layoutVerdict{}, false
			for _, location := range args {
				l, err := a.readLayout(cmd, location)
				v := judge(location, old, l, err)
				verdicts, bad = append(verdicts, v), bad || v.bad()
			}
			if err := a.answer(verdicts, func(w io.Writer) { printVerdicts(w, verdicts) }); err != nil {
				return err
			}
			if bad {
				return &failure{exit: exitDegraded, err: errDegraded}
			}
			return nil
		},
	}
	c.Flags().StringVar(&follows, "follows", "", "also say whether a cluster that runs the layout `OLD` takes them")
	return c
}

// judge looks at a layout that was read, or at why it was not.
func judge(location string, old *layout.Layout, l layout.Layout, err error) layoutVerdict {
	v := layoutVerdict{Location: location, Valid: err == nil, Faults: faultsOf(err)}
	if err != nil {
		v.unreadable = errors.Is(err, layoutfile.ErrUnreachable)
		return v
	}
	v.Version, v.Digest, v.size = l.Version, l.Digest(), sizeOf(l)
	v.Hosts, v.Stripes, v.Partitions = len(l.Hosts), len(l.Stripes), len(l.Partitions)
	if old != nil {
		v.Faults = faultsOf(layout.Follow(*old, l))
		takes := len(v.Faults) == 0
		v.Follows = &takes
	}
	return v
}

func printVerdicts(w io.Writer, verdicts []layoutVerdict) {
	for _, v := range verdicts {
		switch {
		case v.unreadable:
			fmt.Fprintf(w, "%s: UNREADABLE\n", v.Location)
		case !v.Valid:
			fmt.Fprintf(w, "%s: INVALID\n", v.Location)
		case v.bad():
			fmt.Fprintf(w, "%s: valid, but a running cluster REFUSES it\n", v.Location)
		default:
			fmt.Fprintf(w, "%s: valid, version %d, %s, digest %s\n", v.Location, v.Version, v.size, v.Digest)
		}
		printFaults(w, v.Faults)
	}
}

func printFaults(w io.Writer, faults []string) {
	for _, f := range faults {
		fmt.Fprintf(w, "  %s\n", f)
	}
}

// A layoutView is a layout as -o json tells it.
type layoutView struct {
	layoutName
	Layout layout.Layout `json:"layout"`
	Report layout.Report `json:"report"`
}

func (a *app) layoutShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show FILE|URL", Short: "Print the hosts and stripes of a layout, and what each host has to do",
		Example: "  trireme layout show layout.conf\n  trireme layout show layout.conf -o json | jq .report",
		Args:    arguments("FILE|URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := a.readLayout(cmd, args[0])
			if err != nil {
				return err
			}
			v := layoutView{nameLayout(args[0], l), l, layout.NewReport(l)}
			return a.answer(v, v.print)
		},
	}
}

func (v *layoutView) print(w io.Writer) {
	fmt.Fprintf(w, "layout %d: %s, digest %s\n\n", v.Version, sizeOf(v.Layout), v.Digest)
	lines := [][]string{{"HOST", "NATS", "ROUTE", "HTTP", "ADAMA"}}
	for _, h := range v.Layout.Hosts {
		lines = append(lines, []string{h.Name, orNone(h.NATS), orNone(h.Route), orNone(h.HTTP), orNone(h.Adama)})
	}
	rows(w, lines)
	fmt.Fprintln(w)
	lines = [][]string{{"STRIPE", "BIRTH", "HOSTS", "PARTITIONS", "WHICH"}}
	for _, s := range v.Layout.Stripes {
		carried := v.Layout.PartitionsOf(s.Name)
		lines = append(lines, []string{
			s.Name, strconv.FormatUint(uint64(s.Birth), 10), strings.Join(s.Hosts, ", "),
			strconv.Itoa(len(carried)), orNone(oneLine(listPartitions(carried), 60)),
		})
	}
	rows(w, lines)
	fmt.Fprintln(w)
	printReport(w, v.Report)
}

func listPartitions(ps []layout.Partition) string {
	ids := make([]string, 0, len(ps))
	for _, p := range ps {
		ids = append(ids, p.ID.String())
	}
	return strings.Join(ids, " ")
}

// A layoutDiff is what differs between two layouts, as -o json tells it.
type layoutDiff struct {
	Old      layoutName      `json:"old"`
	New      layoutName      `json:"new"`
	Changes  []layout.Change `json:"changes"`
	Accepted bool            `json:"accepted"` // whether a cluster that runs the old one takes the new one
	Faults   []string        `json:"faults"`
}

func (a *app) layoutDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use: "diff OLD NEW", Short: "Say what a layout changes, and whether a running cluster takes it",
		Long: `Say what NEW changes, and whether a cluster that runs OLD takes it; if not, why
and what to do. The exit code is 3 when it does not.`,
		Example: "  trireme layout diff layout.conf new.conf\n  trireme layout diff https://conf.example/layout.conf new.conf",
		Args:    arguments("OLD", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := a.readLayout(cmd, args[0])
			if err != nil {
				return err
			}
			next, err := a.readLayout(cmd, args[1])
			if err != nil {
				return err
			}
			faults := faultsOf(layout.Follow(old, next))
			d := layoutDiff{nameLayout(args[0], old), nameLayout(args[1], next), layout.Diff(old, next), len(faults) == 0, faults}
			if err := a.answer(d, d.print); err != nil {
				return err
			}
			if !d.Accepted {
				return &failure{exit: exitDegraded, err: errDegraded}
			}
			return nil
		},
	}
}

func (d *layoutDiff) print(w io.Writer) {
	for _, c := range d.Changes {
		fmt.Fprintln(w, c)
	}
	switch {
	case len(d.Changes) == 0:
		fmt.Fprintf(w, "the layouts say the same, version %d\n", d.Old.Version)
	case d.Accepted:
		fmt.Fprintf(w, "\na cluster that runs version %d takes version %d\n", d.Old.Version, d.New.Version)
	default:
		fmt.Fprintf(w, "\na cluster that runs version %d REFUSES this version %d:\n", d.Old.Version, d.New.Version)
		printFaults(w, d.Faults)
	}
}
