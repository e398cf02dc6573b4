package members

import (
	"encoding/json"
	"fmt"

	"trireme/internal/layout"
	"trireme/internal/position"
)

// A Report is what a host tells the others about itself, once a second and when
// something has changed. It travels as JSON.
type Report struct {
	Host     string            `json:"host"`
	Disk     string            `json:"disk"`          // id of the host's disk
	Boot     uint64            `json:"boot"`          // how often a daemon was started on this disk
	Seq      uint64            `json:"seq,omitempty"` // of the report within the boot: a later one has a higher number
	Version  string            `json:"version"`
	Layout   Layout            `json:"layout"`
	Draining bool              `json:"draining,omitempty"` // wants to own nothing
	Closing  bool              `json:"closing,omitempty"`  // the last report of this boot
	Stripes  map[string]Stripe `json:"stripes"`            // that it is a member of, by name
}

// Layout names a layout: the version, and the digest of all that it says.
type Layout struct {
	Version uint64 `json:"version"`
	Digest  string `json:"digest"`
}

// Stripe is one stripe as a member has it.
type Stripe struct {
	Applied uint64 `json:"applied"` // last record that the store has applied
	// Log is the sequence at which the log was made to begin that the member has followed
	// last, since its process started; 0 for none.
	Log     uint64 `json:"log,omitempty"`
	Foreign bool   `json:"foreign,omitempty"` // its store is not of the stripe's log: Applied counts in another one
	Durable uint64 `json:"durable"`           // last record that a crash of the host leaves applied; 0 until that is known
	// Clean is the last record up to which all buckets of the stripe were compared
	// equal with another member, both having applied it; 0 for none. A member that
	// has lost something of its copy begins at 0 again.
	Clean uint64 `json:"clean,omitempty"`
	Sick  string `json:"sick,omitempty"` // why this member must not own the stripe; "" when it may
	// Partial says that of its copy only rows of some buckets were lost: it tells the others
	// what it has in the rest.
	Partial bool   `json:"partial,omitempty"`
	Owner   *Owner `json:"owner,omitempty"`
}

// Owner is what the host that serves a stripe tells besides.
type Owner struct {
	Epoch string `json:"epoch"` // position of its claim
	First uint64 `json:"first"` // oldest record in the log; Last+1 when there is none
	Last  uint64 `json:"last"`  // newest record
	Bytes int64  `json:"bytes"` // of the log
	Time  int64  `json:"time"`  // of the newest record, Unix milliseconds
}

// ParseReport reads a report as it travels. Fields that it does not know are left
// alone, so that hosts of different versions understand one another; a report that
// names no host, or an owner without an epoch, is refused.
func ParseReport(text []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return Report{}, fmt.Errorf("report: %w", err)
	}
	if err := layout.CheckName(r.Host); err != nil {
		return Report{}, fmt.Errorf("report: host: %w", err)
	}
	for name, s := range r.Stripes {
		if err := layout.CheckName(name); err != nil {
			return Report{}, fmt.Errorf("report of %s: stripe: %w", r.Host, err)
		}
		if s.Owner == nil {
			continue
		}
		if _, err := position.Parse(s.Owner.Epoch); err != nil {
			return Report{}, fmt.Errorf("report of %s: stripe %s: epoch: %w", r.Host, name, err)
		}
	}
	return r, nil
}

// olderThan tells whether another report of the same disk is newer.
func (r *Report) olderThan(o *Report) bool {
	return r.Boot < o.Boot || r.Boot == o.Boot && r.Seq < o.Seq
}
