package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trireme/ops"
	"trireme/repair"
)

func (a *app) repairRunCommand() *cobra.Command {
	var f scopeFlags
	c := &cobra.Command{
		Use: "run", Short: "Compare with the other members now, and repair what differs",
		Long: `Compare with the other members now, without waiting for the next round, and repair
what differs. It waits for the end and tells what was found. When it is interrupted
the hosts go on.

The exit code is 3 when something could not be compared or repaired.`,
		Example: "  trireme repair run\n  trireme repair run --host h2 --stripe s1 --partition 07",
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
			all, err := a.jobs(cmd.Context(), r, func(ctx context.Context, host string) (ops.Job, error) {
				return r.BeginRun(ctx, host, scope)
			}, func(all []jobOutcome) step { return counted("comparing", all) })
			if err != nil {
				return err
			}
			return a.ranRounds(r, all)
		},
	}
	f.flags(c)
	return c
}

// counted is how many hosts are done.
func counted(doing string, all []jobOutcome) step {
	s := step{Doing: doing, Of: len(all)}
	var wait []string
	for i := range all {
		if all[i].running() {
			wait = append(wait, all[i].Host)
		} else {
			s.Done++
		}
	}
	if len(wait) > 0 {
		s.Note = "waiting for " + strings.Join(wait, ", ")
	}
	return s
}

// ranRounds tells what rounds have found.
func (a *app) ranRounds(r *repairers, all []jobOutcome) error {
	if err := r.alone(errorsOf(all)); err != nil {
		return err
	}
	skipped := 0
	v := viewOf(all, r)
	err := a.result(v, func(w io.Writer) {
		lines := [][]string{{"HOST", "TOOK", "PEERS", "FOUND", "PULLED", "DROPPED", "SKIPPED"}}
		for i := range all {
			if round, ok := read[repair.RoundResult](&all[i]); ok {
				lines = append(lines, []string{
					all[i].Host, short(time.Duration(round.TookMS) * time.Millisecond), peersText(round.Peers), foundText(round.Verdicts),
					number(round.Pulled), number(round.Dropped), strconv.Itoa(len(round.Skipped)),
				})
			}
		}
		rows(w, lines)
		for i := range all {
			if round, ok := read[repair.RoundResult](&all[i]); ok {
				printSkipped(w, all[i].Host, round.Skipped)
			}
		}
		printNotDone(w, outcomes(all), r.away)
	})
	for i := range all {
		if round, ok := read[repair.RoundResult](&all[i]); ok {
			skipped += len(round.Skipped)
		}
	}
	if err != nil {
		return err
	}
	if err := r.notDone(errorsOf(all)); err != nil {
		return err
	}
	return degraded(skipped > 0)
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// peersText is how a round went with each peer.
func peersText(peers []repair.PeerResult) string {
	var all []string
	for _, p := range peers {
		switch {
		case p.Error != "":
			all = append(all, p.Host+" (no answer)")
		case p.Equal == p.Stripes:
			all = append(all, p.Host+" (equal)")
		default:
			all = append(all, fmt.Sprintf("%s (%d of %d equal)", p.Host, p.Equal, p.Stripes))
		}
	}
	return orNone(strings.Join(all, ", "))
}

// foundText is what a round found, by verdict.
func foundText(verdicts map[string]uint64) string {
	var all []string
	for _, v := range []string{"missing", "divergence", "corruption", "gone", "theirs", "lag"} {
		if n := verdicts[v]; n > 0 {
			all = append(all, fmt.Sprintf("%d %s", n, v))
		}
	}
	if all == nil {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// maxSkippedLines bounds what a table tells of each host; -o json tells all.
const maxSkippedLines = 20

func printSkipped(w io.Writer, host string, all []repair.Skipped) {
	for i, s := range all {
		if i == maxSkippedLines {
			fmt.Fprintf(w, "... and %d more that %s skipped\n", len(all)-i, host)
			return
		}
		fmt.Fprintf(w, "%s skipped %s: %s\n", host, skippedName(&s), oneLine(s.Why, 200))
	}
}

func skippedName(s *repair.Skipped) string {
	switch {
	case s.Key != "":
		return fmt.Sprintf("document %s %s", s.Space, s.Key)
	case s.Bucket != "":
		return fmt.Sprintf("bucket %s of stripe %s", s.Bucket, s.Stripe)
	case s.Partition != "":
		return fmt.Sprintf("partition %s of stripe %s", s.Partition, s.Stripe)
	}
	return "stripe " + s.Stripe
}
