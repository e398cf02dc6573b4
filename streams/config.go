package streams

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// FormatVersion is the version of the stream's layout, kept in its metadata.
// Programs refuse a stream of a version that they do not know.
const FormatVersion = 1

// MaxRecord is the size limit of one record, in bytes. JetStream itself refuses
// messages from 32 MiB on.
const MaxRecord = 32<<20 - 64<<10

const (
	metaFormat = "trireme.format"
	metaBirth  = "trireme.birth"

	defaultMaxBytes = 1 << 30
	// The server's least window. Nothing here sends message ids.
	duplicates = 100 * time.Millisecond
)

// Config says which stripe's log is meant.
type Config struct {
	Stripe   string // name of the stripe: letters, digits, - and _
	Birth    uint32 // the stripe's birth number, from 1
	Replicas int    // how many hosts hold the log; 0 means 1
	MaxBytes int64  // bound of the log, used by [Create]; 0 means 1 GiB

	// First is the sequence of the first record, used by [Create]; 0 means 1. A log
	// that is made anew for stores that have applied records goes on after these.
	First uint64

	// Tags of the servers that may hold the log, used by [Create]; none on a
	// single host.
	Tags []string
}

// StreamName is the name of a stripe's stream.
func StreamName(stripe string) string { return "trireme-" + stripe }

// Subject is the one subject of a stripe's stream.
func Subject(stripe string) string { return "trireme.log." + stripe }

func (c *Config) validate() error {
	for _, r := range c.Stripe {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return fmt.Errorf("stripe %q: a name has letters, digits, - and _ only", c.Stripe)
		}
	}
	switch {
	case c.Stripe == "":
		return errors.New("stripe: a name is missing")
	case c.Birth == 0:
		return fmt.Errorf("stripe %s: births count from 1", c.Stripe)
	case c.Replicas < 0, c.Replicas > 5:
		return fmt.Errorf("stripe %s: replicas is %d, want 1 to 5", c.Stripe, c.Replicas)
	case c.MaxBytes < 0:
		return fmt.Errorf("stripe %s: max bytes is %d, want 0 or more", c.Stripe, c.MaxBytes)
	}
	return nil
}

func (c *Config) replicas() int { return max(1, c.Replicas) }

// stream is the configuration that the stripe's stream is created with.
func (c *Config) stream() jetstream.StreamConfig {
	maxBytes := c.MaxBytes
	if maxBytes == 0 {
		maxBytes = defaultMaxBytes
	}
	s := jetstream.StreamConfig{
		Name:        StreamName(c.Stripe),
		Description: "log of stripe " + c.Stripe,
		Subjects:    []string{Subject(c.Stripe)},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Storage:     jetstream.FileStorage,
		Replicas:    c.replicas(),
		MaxBytes:    maxBytes,
		MaxMsgs:     -1,
		MaxMsgSize:  MaxRecord + 1<<10, // room for the headers
		Duplicates:  duplicates,
		AllowDirect: true,
		DenyDelete:  true,
		FirstSeq:    c.First,
		Metadata: map[string]string{
			metaFormat: strconv.Itoa(FormatVersion),
			metaBirth:  strconv.FormatUint(uint64(c.Birth), 10),
		},
	}
	if len(c.Tags) > 0 {
		s.Placement = &jetstream.Placement{Tags: c.Tags}
	}
	return s
}

// check names every way in which a stream is not the log that c means. The byte
// bound is free, as long as there is one.
func (c *Config) check(got jetstream.StreamConfig) error {
	want := c.stream()
	var faults []error
	differ := func(field string, got, want any) {
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			faults = append(faults, fmt.Errorf("%s is %s, want %s", field, g, w))
		}
	}
	differ("subjects", got.Subjects, want.Subjects)
	differ("retention", got.Retention, want.Retention)
	differ("discard", got.Discard, want.Discard)
	differ("discard_new_per_subject", got.DiscardNewPerSubject, false)
	differ("storage", got.Storage, want.Storage)
	differ("num_replicas", got.Replicas, want.Replicas)
	differ("max_msgs", got.MaxMsgs, want.MaxMsgs)
	differ("max_age", got.MaxAge, want.MaxAge)
	differ("max_msg_size", got.MaxMsgSize, want.MaxMsgSize)
	differ("duplicate_window", got.Duplicates, want.Duplicates)
	differ("allow_direct", got.AllowDirect, true)
	differ("deny_delete", got.DenyDelete, true)
	differ("deny_purge", got.DenyPurge, false)
	differ("allow_rollup_hdrs", got.AllowRollup, false)
	differ("allow_msg_ttl", got.AllowMsgTTL, false)
	differ("no_ack", got.NoAck, false)
	differ("sealed", got.Sealed, false)
	differ("mirror", got.Mirror != nil, false)
	differ("sources", len(got.Sources), 0)
	differ("subject_transform", got.SubjectTransform != nil, false)
	differ("republish", got.RePublish != nil, false)
	differ("metadata "+metaFormat, got.Metadata[metaFormat], want.Metadata[metaFormat])
	differ("metadata "+metaBirth, got.Metadata[metaBirth], want.Metadata[metaBirth])
	if got.MaxBytes <= 0 {
		faults = append(faults, fmt.Errorf("max_bytes is %d, want a bound", got.MaxBytes))
	}
	if got.MaxMsgsPerSubject > 0 {
		faults = append(faults, fmt.Errorf("max_msgs_per_subject is %d, want none", got.MaxMsgsPerSubject))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("stream %s: %w: %w", got.Name, ErrConfig, errors.Join(faults...))
}
