package register

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// StreamName is the name of the register's stream.
const StreamName = "trireme-cluster"

const (
	metaFormat = "trireme.format"
	// Of one question; another replica, or the next leader, is asked then.
	askTimeout = time.Second
	putTimeout = time.Second // to put the same again is harmless
)

// Open finds the register, or makes it when there is none: of five replicas in a
// cluster of five hosts or more, of three from three on, else of one. A register
// that is there stays as it is; it keeps its replicas when hosts come and go. Open
// tries once, as long as ctx lets it; [ErrConfig] names what is not as it must be.
func Open(ctx context.Context, nc *nats.Conn, hosts int) (*Register, error) {
	return open(nc, func(js jetstream.JetStream) (jetstream.Stream, error) {
		s, err := js.Stream(ctx, StreamName)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return s, err
		}
		if s, err = js.CreateStream(ctx, streamConfig(hosts)); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return js.Stream(ctx, StreamName)
		}
		return s, err
	})
}

// Find finds the register, and never makes it: [ErrNone] when there is none. It is
// for a host that has read it before.
func Find(ctx context.Context, nc *nats.Conn) (*Register, error) {
	return open(nc, func(js jetstream.JetStream) (jetstream.Stream, error) { return js.Stream(ctx, StreamName) })
}

func open(nc *nats.Conn, find func(jetstream.JetStream) (jetstream.Stream, error)) (*Register, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open the register: %w", err)
	}
	s, err := find(js)
	if err != nil {
		return nil, fmt.Errorf("open the register: %w", streamError(err))
	}
	if err := checkConfig(s.CachedInfo().Config); err != nil {
		return nil, fmt.Errorf("open the register: %w", err)
	}
	return newRegister(&stream{js: js, stream: s}, nc.Opts.Name), nil
}

func streamConfig(hosts int) jetstream.StreamConfig {
	replicas := 1
	switch {
	case hosts >= 5:
		replicas = 5
	case hosts >= 3:
		replicas = 3
	}
	return jetstream.StreamConfig{
		Name:        StreamName,
		Description: "what the hosts have agreed on",
		Subjects:    []string{subjects},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		MaxMsgs:     -1,
		MaxBytes:    64 << 20, // thousands of layouts; the server reserves it
		MaxMsgSize:  MaxText + 1<<16,
		Duplicates:  100 * time.Millisecond, // the least; no message ids are sent
		AllowDirect: true,
		DenyDelete:  true,
		DenyPurge:   true,
		Metadata:    map[string]string{metaFormat: strconv.Itoa(Format)},
	}
}

// checkConfig names every way in which a stream is not a register. The number of
// replicas and the bound on bytes are free.
func checkConfig(got jetstream.StreamConfig) error {
	want := streamConfig(1)
	var faults []error
	for _, f := range []struct {
		field     string
		got, want any
	}{
		{"subjects", got.Subjects, want.Subjects},
		{"retention", got.Retention, want.Retention},
		{"discard", got.Discard, want.Discard},
		{"storage", got.Storage, want.Storage},
		{"max_msgs", got.MaxMsgs, want.MaxMsgs},
		{"max_age", got.MaxAge, want.MaxAge},
		{"max_msgs_per_subject", max(got.MaxMsgsPerSubject, 0), 0},
		{"allow_direct", got.AllowDirect, true},
		{"deny_delete", got.DenyDelete, true},
		{"deny_purge", got.DenyPurge, true},
		{"allow_rollup_hdrs", got.AllowRollup, false},
		{"allow_msg_ttl", got.AllowMsgTTL, false},
		{"no_ack", got.NoAck, false},
		{"sealed", got.Sealed, false},
		{"mirror", got.Mirror != nil, false},
		{"sources", len(got.Sources), 0},
		{"subject_transform", got.SubjectTransform != nil, false},
		{"metadata " + metaFormat, got.Metadata[metaFormat], want.Metadata[metaFormat]},
	} {
		if g, w := fmt.Sprint(f.got), fmt.Sprint(f.want); g != w {
			faults = append(faults, fmt.Errorf("%s is %s, want %s", f.field, g, w))
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("stream %s: %w: %w", got.Name, ErrConfig, errors.Join(faults...))
}

// A stream is the journal over NATS.
type stream struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

func (s *stream) last(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, streamError(err)
	}
	if first := info.State.FirstSeq; first > 1 {
		return 0, fmt.Errorf("%w: it begins at record %d", ErrLost, first)
	}
	return info.State.LastSeq, nil
}

func (s *stream) get(ctx context.Context, seq uint64) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := s.stream.GetMsg(ctx, seq)
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", seq, streamError(err))
	}
	if m.Sequence != seq {
		return nil, fmt.Errorf("record %d: record %d came instead", seq, m.Sequence)
	}
	return &message{Subject: m.Subject, Header: m.Header, Data: m.Data}, nil
}

func (s *stream) put(ctx context.Context, expected uint64, m *message) error {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: m.Subject, Header: maps.Clone(m.Header), Data: m.Data}
	ack, err := s.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequence(expected), jetstream.WithRetryAttempts(0))
	if err == nil && (ack.Stream != StreamName || ack.Sequence != expected+1) {
		return fmt.Errorf("the answer is of record %d of %s, want %d of %s", ack.Sequence, ack.Stream, expected+1, StreamName)
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		_, n, _ := strings.Cut(api.Description, "wrong last sequence: ")
		if last, err := strconv.ParseUint(n, 10, 64); err == nil && last != expected {
			return &refusedError{last}
		}
	}
	return err
}

func streamError(err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	return err
}
