package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trireme/internal/layout"
	"trireme/internal/layoutfile"
)

const layoutLong = `Make and judge layout files: which hosts there are, and where documents live.

Every host of a cluster reads the same file or URL. docs/layout.md explains it.
None of these commands needs a host.`

func (a *app) layoutCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "layout", Short: "Make and judge the file that says where documents live", Long: layoutLong,
		Args: cobra.ArbitraryArgs, RunE: group,
	}
	c.AddCommand(a.layoutGenerateCommand(), a.layoutValidateCommand(), a.layoutShowCommand(), a.layoutDiffCommand())
	return c
}

// readLayout reads a file or URL.
func (a *app) readLayout(cmd *cobra.Command, location string) (layout.Layout, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	s := &layoutfile.Source{Location: location}
	return s.Read(ctx)
}

// faultsOf parts an error into its lines, each a fault.
func faultsOf(err error) []string {
	if err == nil {
		return []string{}
	}
	return strings.Split(err.Error(), "\n")
}

// A layoutName says which layout is meant.
type layoutName struct {
	Location string `json:"location"`
	Version  uint64 `json:"version"`
	Digest   string `json:"digest"`
}

func nameLayout(location string, l layout.Layout) layoutName {
	return layoutName{Location: location, Version: l.Version, Digest: l.Digest()}
}

func sizeOf(l layout.Layout) string {
	return fmt.Sprintf("%s, %s, %s", many(len(l.Hosts), "host"), many(len(l.Stripes), "stripe"), many(len(l.Partitions), "partition"))
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// printReport writes what each host has to do, and what it gets by each death.
func printReport(w io.Writer, r layout.Report) {
	lines := [][]string{{"HOST", "MESHES", "LEADS", "PARTITIONS"}}
	for _, h := range r.Hosts {
		lines = append(lines, []string{h.Host, strconv.Itoa(h.Meshes), strconv.Itoa(h.Leads), strconv.Itoa(h.Partitions)})
	}
	lost := []string{"nobody", "", "", ""}
	losses := false
	for i, d := range r.Deaths {
		lines[0] = append(lines[0], "IF "+d.Host+" DIES")
		lines[i+1] = append(lines[i+1], "-")
		for k, s := range d.Survivors {
			row := k + 1
			if k >= i {
				row++ // the dead one is not among them
			}
			lines[row] = append(lines[row], strconv.Itoa(s.Partitions))
		}
		lost = append(lost, strconv.Itoa(d.Lost))
		losses = losses || d.Lost > 0
	}
	if losses {
		lines = append(lines, lost)
	}
	rows(w, lines)
	fmt.Fprintln(w, "\nmeshes: stripes that a host is a member of; leads: those that it owns while all are well,")
	fmt.Fprintln(w, "with so many partitions. Then the partitions that it owns when one host has died.")
}
