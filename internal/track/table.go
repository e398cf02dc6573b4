package track

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// header names the columns of tables.
func header() []string {
	return []string{"fault", "runs", "times", "acknowledged", "lost", "doubled", "ghosts", "stale", "errors", "longest pause", "verdict"}
}

func (s *Sum) row() []string {
	ended := strconv.FormatInt(s.Errors, 10)
	if s.Outage {
		ended += " (outage)"
	}
	pause := (time.Duration(s.PauseMS) * time.Millisecond).Round(100 * time.Millisecond)
	return []string{
		s.Fault, strconv.Itoa(s.Runs), strconv.Itoa(s.Times), strconv.FormatInt(s.Acked, 10),
		strconv.Itoa(s.Lost), strconv.Itoa(s.Doubled), strconv.Itoa(s.Ghosts), strconv.Itoa(s.Stale), ended, pause.String(), s.Verdict(),
	}
}

// Table writes sums for a terminal.
func Table(w io.Writer, sums []Sum) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.ToUpper(strings.Join(header(), "\t")))
	for i := range sums {
		fmt.Fprintln(t, strings.Join(sums[i].row(), "\t"))
	}
	return t.Flush()
}

// Markdown writes sums as a table of Markdown, each fault with its sentence.
func Markdown(w io.Writer, sums []Sum) error {
	columns := append(header(), "what happens")
	if _, err := fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns))); err != nil {
		return err
	}
	for i := range sums {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(append(sums[i].row(), sums[i].What), " | ")); err != nil {
			return err
		}
	}
	return nil
}
