// Package soak keeps what was measured of hosts under load for hours, and judges whether
// they use more and more of anything.
//
// A record is lines of JSON, a [Sample] each, so that one that was cut short is good for
// as long as it is. [Judge] compares the level of every series late in a run with that
// early in it.
package soak

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Sample is what was measured of one host at one moment.
type Sample struct {
	At   time.Time `json:"at"`
	Host string    `json:"host"`
	Life int       `json:"life"` // which process of the host it was, counted from 1

	Resident    int64 `json:"resident_bytes"` // of memory
	Heap        int64 `json:"heap_bytes"`     // in use by Go
	Descriptors int64 `json:"descriptors"`
	Goroutines  int64 `json:"goroutines"`
	StoreDisk   int64 `json:"store_disk_bytes"` // files of the document store
	LogDisk     int64 `json:"log_disk_bytes"`   // files of the logs, and of what agrees on them
	OtherDisk   int64 `json:"other_disk_bytes"` // all other files of the data directory
	Log         int64 `json:"log_bytes"`        // records in the logs

	Acked int64  `json:"acked"`           // changes acknowledged by all hosts until now
	Fault string `json:"fault,omitempty"` // the one that is not over yet
}

// Write adds a sample to a record, in one call of w.
func Write(w io.Writer, s Sample) error {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Read reads a record. A last line without its end is what a run that was cut short
// leaves, and is passed over; any other that cannot be read is an error.
func Read(r io.Reader) (samples []Sample, err error) {
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return samples, fmt.Errorf("read line %d: %w", n, err)
		}
		var s Sample
		if err := json.Unmarshal(bytes.TrimSpace(line), &s); err != nil {
			return samples, fmt.Errorf("line %d: %w", n, err)
		}
		if s.Host == "" || s.At.IsZero() {
			return samples, fmt.Errorf("line %d: no host or no time", n)
		}
		samples = append(samples, s)
	}
}
