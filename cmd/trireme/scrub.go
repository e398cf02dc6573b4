package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"trireme/ops"
	"trireme/repair"
)

func (a *app) scrubCommand() *cobra.Command {
	var f scopeFlags
	c := &cobra.Command{
		Use: "scrub", Short: "Have hosts re-read their disks now, and repair what is damaged",
		Long: `Have hosts re-read every document from their disks now, check it, and pull what is
damaged from another member. Hosts do that by themselves too, slowly: everything once
in 14 days by default.

It waits for the end and tells what was found. When it is interrupted the hosts go
on; the same command waits for them again.

The exit code is 3 when something damaged could not be repaired.`,
		Example: "  trireme scrub\n  trireme scrub --host h2 --stripe s1",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			scope, err := f.scope()
			if err != nil {
				return err
			}
			r, err := a.repairers(cmd, f.host)
			if err != nil {
				return err
			}
			defer r.watch.close()
			all, err := a.scrubs(cmd.Context(), r, scope)
			if err != nil {
				return err
			}
			return a.scrubbed(r, all)
		},
	}
	f.flags(c)
	return c
}

// scrubs has all hosts re-read their stores, and waits.
func (a *app) scrubs(ctx context.Context, r *repairers, scope repair.Scope) ([]jobOutcome, error) {
	return a.jobs(ctx, r, func(ctx context.Context, host string) (ops.Job, error) { return r.BeginScrub(ctx, host, scope) }, scrubbing)
}

// scrubbing is how far scrubs are.
func scrubbing(all []jobOutcome) step {
	s := step{Doing: "scrubbing"}
	for i := range all {
		var p repair.ScrubProgress
		if json.Unmarshal(all[i].last.Progress, &p) != nil || p.Buckets == 0 {
			continue
		}
		s.Done, s.Of = s.Done+p.Read, s.Of+p.Buckets
		note := fmt.Sprintf("%s %d %% of %s", all[i].Host, 100*p.Read/p.Buckets, plenty(p.Documents, "docs", p.Bytes))
		if p.Damaged > 0 {
			note += fmt.Sprintf(", %d damaged", p.Damaged)
		}
		s.Note = joined(s.Note, note)
	}
	return s
}

func (a *app) scrubbed(r *repairers, all []jobOutcome) error {
	if err := r.alone(errorsOf(all)); err != nil {
		return err
	}
	left := 0
	for i := range all {
		if s, ok := read[repair.ScrubResult](&all[i]); ok {
			left += unrepaired(&s)
		}
	}
	if err := a.result(viewOf(all, r), func(w io.Writer) { printScrubs(w, all, r.away) }); err != nil {
		return err
	}
	if err := r.notDone(errorsOf(all)); err != nil {
		return err
	}
	return degraded(left > 0)
}

func unrepaired(s *repair.ScrubResult) (n int) {
	for _, f := range s.Findings {
		if !f.Repaired {
			n++
		}
	}
	return n
}

func printScrubs(w io.Writer, all []jobOutcome, away []awayHost) {
	lines := [][]string{{"HOST", "BUCKETS", "DOCUMENTS", "READ", "DAMAGED", "NOT REPAIRED", "DIGESTS MENDED"}}
	for i := range all {
		if s, ok := read[repair.ScrubResult](&all[i]); ok {
			lines = append(lines, []string{
				all[i].Host, strconv.Itoa(s.Read), number(s.Documents), ops.Bytes(s.Bytes), number(s.Damaged), strconv.Itoa(unrepaired(&s)), number(s.Mended),
			})
		}
	}
	rows(w, lines)
	for i := range all {
		s, ok := read[repair.ScrubResult](&all[i])
		if !ok {
			continue
		}
		for n, f := range s.Findings {
			if n == maxSkippedLines {
				fmt.Fprintf(w, "... and %d more on %s\n", len(s.Findings)-n, all[i].Host)
				break
			}
			became := "not repaired"
			if f.Repaired {
				became = "repaired" + orText(" from ", f.From)
			}
			fmt.Fprintf(w, "%s: %s %s was damaged (%s): %s\n", all[i].Host, f.Space, f.Key, oneLine(f.Why, 120), became)
		}
	}
	printNotDone(w, outcomes(all), away)
}
