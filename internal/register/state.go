package register

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// This file reads and writes records and does nothing else.

// Format is the version of the records' format.
const Format = 1

// MaxText bounds the text of a layout, in bytes.
const MaxText = 4 << 20

const (
	subjects      = "trireme.cluster.>"
	layoutSubject = "trireme.cluster.layout"
	bornSubjects  = "trireme.cluster.born."

	headerFormat   = "Trireme-Format"
	headerProposal = "Trireme-Proposal"
	headerBy       = "Trireme-By"
	headerTime     = "Trireme-Time"
	headerVersion  = "Trireme-Version"
	headerDigest   = "Trireme-Digest"
)

// State is what the hosts have agreed on.
type State struct {
	Version uint64 // of the layout in force, 0 for none
	Digest  string // of that layout, as its proposer gave it
	Layout  []byte // its text; not to be changed

	Born map[string]Birth // the stripes whose logs were made, by name
	Seq  uint64           // of the last record
}

// A Birth says that a stripe's log was made.
type Birth struct {
	Birth uint32    // the stripe's number
	Host  string    // that told of it first
	Time  time.Time // when, by that host's clock
}

func (s *State) clone() State {
	c := *s
	c.Born = maps.Clone(s.Born)
	if c.Born == nil {
		c.Born = map[string]Birth{}
	}
	return c
}

// A message is a record as the stream has it.
type message struct {
	Subject string
	Header  nats.Header
	Data    []byte
}

func (m *message) proposal() string { return m.Header.Get(headerProposal) }

func newMessage(subject string, by string, now time.Time) *message {
	return &message{Subject: subject, Header: nats.Header{
		headerFormat: {strconv.Itoa(Format)},
		headerBy:     {printable(by)},
		headerTime:   {now.UTC().Format(time.RFC3339)},
	}}
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

func layoutMessage(version uint64, digest string, text []byte, by string, now time.Time) *message {
	m := newMessage(layoutSubject, by, now)
	m.Header.Set(headerVersion, strconv.FormatUint(version, 10))
	m.Header.Set(headerDigest, digest)
	m.Data = bytes.Clone(text)
	return m
}

type birth struct {
	Birth uint32 `json:"birth"`
	Host  string `json:"host"`
}

func bornMessage(stripe string, number uint32, host, by string, now time.Time) (*message, error) {
	m := newMessage(bornSubjects+stripe, by, now)
	var err error
	m.Data, err = json.Marshal(birth{number, host})
	return m, err
}

// checkLayout names what is wrong with a proposal.
func checkLayout(version uint64, digest string, text []byte) error {
	switch {
	case version == 0:
		return errors.New("version is 0: layouts count from 1")
	case digest == "" || printable(digest) != digest || strings.TrimSpace(digest) != digest:
		return fmt.Errorf("digest %q: want printable ASCII", digest)
	case len(text) == 0:
		return errors.New("text is empty")
	case len(text) > MaxText:
		return fmt.Errorf("text has %d bytes, want at most %d", len(text), MaxText)
	}
	return nil
}

func checkStripe(stripe string) error {
	for _, r := range stripe {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return fmt.Errorf("stripe %q: a name has letters, digits, - and _ only", stripe)
		}
	}
	if stripe == "" {
		return errors.New("stripe: a name is missing")
	}
	return nil
}

// apply moves the state on by the next record. The error is [ErrFormat], and then
// nothing was changed.
func (s *State) apply(seq uint64, m *message) error {
	if seq != s.Seq+1 {
		return fmt.Errorf("%w: record %d comes after %d", ErrLost, seq, s.Seq)
	}
	if f := m.Header.Get(headerFormat); f != strconv.Itoa(Format) && f != "" {
		return fmt.Errorf("%w: record %d has format %q, this program reads %d", ErrFormat, seq, f, Format)
	} else if f != "" {
		s.count(m)
	}
	s.Seq = seq
	return nil
}

// count takes what a record says, if it counts.
func (s *State) count(m *message) {
	if m.Subject == layoutSubject {
		version, err := strconv.ParseUint(m.Header.Get(headerVersion), 10, 64)
		digest := m.Header.Get(headerDigest)
		if err == nil && version > s.Version && checkLayout(version, digest, m.Data) == nil {
			s.Version, s.Digest, s.Layout = version, digest, m.Data
		}
		return
	}
	stripe, ok := strings.CutPrefix(m.Subject, bornSubjects)
	if !ok || checkStripe(stripe) != nil {
		return
	}
	var b birth
	if _, born := s.Born[stripe]; born || json.Unmarshal(m.Data, &b) != nil || b.Birth == 0 {
		return
	}
	if s.Born == nil {
		s.Born = map[string]Birth{}
	}
	when, _ := time.Parse(time.RFC3339, m.Header.Get(headerTime)) // for people only
	s.Born[stripe] = Birth{Birth: b.Birth, Host: b.Host, Time: when}
}

// wants says whether a layout may still be proposed: nil, an error, or done when
// it is in force already.
func (s *State) wants(version uint64, digest string, text []byte) (done bool, err error) {
	switch {
	case version > s.Version:
		return false, nil
	case version < s.Version:
		return false, fmt.Errorf("layout %d: %w: version %d", version, ErrOlder, s.Version)
	case digest != s.Digest || !bytes.Equal(text, s.Layout):
		return false, fmt.Errorf("layout %d: %w: a layout of this version with digest %s, this one has %s: give it a higher version", version, ErrConflict, s.Digest, digest)
	}
	return true, nil
}
