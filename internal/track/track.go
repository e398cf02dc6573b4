// Package track keeps the record of fault drills: what each fault was, how often it
// struck, and what it did to whoever was promised otherwise.
package track

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// A Run is what one run of a fault has shown: a line of a record, as JSON.
type Run struct {
	Fault   string    `json:"fault"`
	What    string    `json:"what"` // the fault in a sentence
	At      time.Time `json:"at"`
	Version string    `json:"version"` // of the program

	Times   int   `json:"times"`             // how often the fault struck
	Acked   int64 `json:"acked"`             // changes that were acknowledged
	Lost    int   `json:"lost"`              // of them: not in their document afterwards
	Doubled int   `json:"doubled"`           // applied twice
	Ghosts  int   `json:"ghosts"`            // applied although refused
	Stale   int   `json:"stale"`             // documents whose history is not linearizable
	Rebuilt int   `json:"rebuilt,omitempty"` // logs that an operator had to begin anew, since they had lost records
	Errors  int64 `json:"errors"`            // requests that ended otherwise than done or "head differs"
	PauseMS int64 `json:"longest_pause_ms"`

	// Outage: the fault takes a quorum, or a host from its clients, so requests may end
	// in errors.
	Outage bool   `json:"outage,omitempty"`
	Failed string `json:"failed,omitempty"` // what the run has found wrong; "" when it passed
	// Control: the program lacked a protection, so the drill had to find something wrong,
	// and passed when it did.
	Control bool `json:"control,omitempty"`
}

// Append adds a run to the record at path.
func Append(path string, r Run) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// Read reads the record at path.
func Read(path string) ([]Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var runs []Run
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var r Run
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, n, err)
		}
		if r.Fault == "" {
			return nil, fmt.Errorf("%s, line %d: no fault is named", path, n)
		}
		runs = append(runs, r)
	}
	return runs, lines.Err()
}

// A Sum is all runs of one fault together.
type Sum struct {
	Run          // counts are sums, the pause is the longest, Failed that of the last run that failed
	Runs     int `json:"runs"`
	Failures int `json:"failures"` // runs that failed
}

// Sums adds the runs of each fault up, in the order of the faults' names.
func Sums(runs []Run) []Sum {
	var sums []Sum
	for _, r := range runs {
		i := slices.IndexFunc(sums, func(s Sum) bool { return s.Fault == r.Fault })
		if i < 0 {
			i = len(sums)
			sums = append(sums, Sum{})
		}
		sums[i].add(r)
	}
	slices.SortFunc(sums, func(a, b Sum) int { return cmp.Compare(a.Fault, b.Fault) })
	return sums
}

func (s *Sum) add(r Run) {
	s.Runs++
	s.Fault, s.What, s.At, s.Version, s.Outage, s.Control = r.Fault, r.What, r.At, r.Version, r.Outage, r.Control
	s.Times += r.Times
	s.Acked += r.Acked
	s.Lost += r.Lost
	s.Doubled += r.Doubled
	s.Ghosts += r.Ghosts
	s.Stale += r.Stale
	s.Errors += r.Errors
	s.Rebuilt += r.Rebuilt
	s.PauseMS = max(s.PauseMS, r.PauseMS)
	if r.Failed != "" {
		s.Failures++
		s.Failed = r.Failed
	}
}

// Verdict is "passed", or how many runs failed.
func (s *Sum) Verdict() string {
	switch {
	case s.Failures == 0 && s.Control:
		return "fails, as it must"
	case s.Failures == 0 && s.Rebuilt > 0:
		return fmt.Sprintf("passed, %d logs rebuilt", s.Rebuilt)
	case s.Failures == 0:
		return "passed"
	}
	return fmt.Sprintf("%d of %d FAILED", s.Failures, s.Runs)
}
