package streams

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestOpenNeverCreates(t *testing.T) {
	s := startServer(t)
	nc := connect(t, s)
	_, err := Open(t.Context(), nc, testConfig())
	wantIs(t, err, ErrNoStream)

	l := createLog(t, s, testConfig())
	fill(t, l, 3, 10)
	again := createLog(t, s, testConfig()) // creating what exists opens it
	st, err := again.State(t.Context())
	if err != nil || st.First != 1 || st.Last != 3 || st.Bytes == 0 || st.MaxBytes != defaultMaxBytes {
		t.Fatalf("state %+v, %v", st, err)
	}
	if err := again.SetMaxBytes(t.Context(), 64<<20); err != nil {
		t.Fatal(err)
	}
	opened, err := Open(t.Context(), nc, testConfig()) // another bound is no fault
	if err != nil {
		t.Fatal(err)
	}
	if st, _ := opened.State(t.Context()); st.MaxBytes != 64<<20 {
		t.Fatalf("bound is %d", st.MaxBytes)
	}
}

func TestOpenNamesEveryDifference(t *testing.T) {
	s := startServer(t)
	nc := connect(t, s)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: StreamName("s1"), Subjects: []string{Subject("s1"), "other"}, MaxAge: time.Hour, Metadata: map[string]string{metaBirth: "2", metaFormat: "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), nc, testConfig())
	wantIs(t, err, ErrConfig)
	for _, field := range []string{
		"subjects is [trireme.log.s1 other], want [trireme.log.s1]", "discard is DiscardOld, want DiscardNew", "max_age is 1h0m0s, want 0s",
		"allow_direct is false", "deny_delete is false", "max_bytes is -1", "trireme.birth is 2, want 1", "duplicate_window is 2m0s, want 100ms",
	} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q is not named in: %v", field, err)
		}
	}
	if strings.Contains(err.Error(), metaFormat) {
		t.Errorf("the format does not differ: %v", err)
	}
}

func TestConfigRefusesNonsense(t *testing.T) {
	for _, cfg := range []Config{
		{}, {Stripe: "s1"}, {Stripe: "a.b", Birth: 1}, {Stripe: "a b", Birth: 1}, {Stripe: "s1", Birth: 1, Replicas: 6}, {Stripe: "s1", Birth: 1, MaxBytes: -1},
	} {
		if err := cfg.validate(); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func TestAppendOutcomes(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	ctx := t.Context()

	if seq, err := l.Append(ctx, 0, []byte("first")); seq != 1 || err != nil {
		t.Fatal(seq, err)
	}
	_, err := l.Append(ctx, 0, []byte("late"))
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Expected != 0 || refused.Last != 1 {
		t.Fatal(err)
	}
	_, err = l.Append(ctx, 7, []byte("early"))
	wantIs(t, err, ErrRefused)
	_, err = l.Append(ctx, 1, make([]byte, MaxRecord+1<<20))
	wantIs(t, err, ErrTooLarge)
	_, err = l.Append(ctx, 1, make([]byte, 65<<20))
	wantIs(t, err, ErrTooLarge)

	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err = l.Append(ended, 1, []byte("x")); err == nil {
		t.Fatal("an ended context gave no error")
	}
	if err := l.js.DeleteStream(ctx, l.name); err != nil {
		t.Fatal(err)
	}
	_, err = l.Append(ctx, 1, []byte("x"))
	wantIs(t, err, ErrUndelivered)
	_, err = l.State(ctx)
	wantIs(t, err, ErrNoStream)
	wantIs(t, l.Read(ctx, 1, 1, nil), ErrNoStream)
	l.nc.Close()
	_, err = l.Append(ctx, 1, []byte("x"))
	wantIs(t, err, ErrUndelivered)
}

func TestAppendFull(t *testing.T) {
	s := startServer(t)
	cfg := testConfig()
	cfg.MaxBytes = 1 << 20
	l := createLog(t, s, cfg)
	fill(t, l, 3, 300<<10)
	_, err := l.Append(t.Context(), 3, make([]byte, 300<<10))
	wantIs(t, err, ErrFull)
	if err := l.Trim(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if seq, err := l.Append(t.Context(), 3, make([]byte, 300<<10)); seq != 4 || err != nil {
		t.Fatal(seq, err)
	}
}

// A server that stops answering leaves the fate unknown.
func TestAppendUnanswered(t *testing.T) {
	s := startServer(t)
	nc := connect(t, s)
	silent, err := nc.SubscribeSync("silence")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Unsubscribe() }()
	l := createLog(t, s, testConfig())
	l.subject = "silence"
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = l.Append(ctx, 0, []byte("x"))
	wantIs(t, err, ErrUnknown)
	wantIs(t, err, context.DeadlineExceeded)

	// Its answer, coming late, is not taken for that of the next.
	m, err := silent.NextMsg(deadline)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Respond([]byte(`{"stream":"trireme-s1","seq":1}`)); err != nil {
		t.Fatal(err)
	}
	l.subject = Subject("s1")
	fill(t, l, 2, 10)
}

func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		answer string
		want   error
	}{
		{`{"stream":"trireme-s1","seq":8}`, nil},
		{`{"stream":"trireme-s1", "seq":8, "domain":"d"}`, nil},
		{`{"stream":"trireme-s1","seq":9}`, ErrUnknown},
		{`{"stream":"trireme-s2","seq":8}`, ErrUnknown},
		{`{"stream":"trireme-s1","seq":`, ErrUnknown},
		{``, ErrUnknown},
		{`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 9"}}`, ErrRefused},
		{`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"}}`, ErrUnknown},
		{`{"error":{"code":400,"err_code":10071,"description":"in other words"}}`, ErrUnknown},
		{`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`, ErrFull},
		{`{"error":{"code":503,"err_code":10077,"description":"message too large"}}`, ErrTooLarge},
		{`{"error":{"code":503,"err_code":10077,"description":"store is closed"}}`, ErrUnknown},
		{`{"error":{"code":503,"err_code":10023,"description":"insufficient resources"}}`, ErrFull},
		{`{"error":{"code":400,"err_code":10002,"description":"resource limits exceeded for account"}}`, ErrFull},
		{`{"error":{"code":429,"err_code":10167,"description":"too many requests"}}`, ErrFull},
		{`{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}`, ErrTooLarge},
		{`{"error":{"code":503,"err_code":10063,"description":"expected stream sequence does not match"}}`, ErrUnknown},
		{`{"error":{"code":500,"err_code":1,"description":"?"}}`, ErrUnknown},
	} {
		seq, err := outcome("trireme-s1", 7, []byte(c.answer))
		if !errors.Is(err, c.want) || (err == nil) != (seq == 8) {
			t.Errorf("%s: %d, %v, want %v", c.answer, seq, err, c.want)
		}
	}
}

// Of all who append after the same record exactly one succeeds, 10,000 tries.
func TestOneWinner(t *testing.T) {
	const writers, rounds = 8, 1250
	s := startServer(t)
	logs := make([]*Log, writers)
	for i := range logs {
		logs[i] = createLog(t, s, testConfig())
	}
	bodies := make([]string, rounds)
	for round := range uint64(rounds) {
		var wins atomic.Int32
		var wg sync.WaitGroup
		for i, l := range logs {
			wg.Go(func() {
				body := fmt.Sprintf("round %d writer %d", round, i)
				seq, err := l.Append(t.Context(), round, []byte(body))
				switch {
				case err == nil && seq == round+1:
					wins.Add(1)
					bodies[round] = body
				case !errors.Is(err, ErrRefused):
					t.Errorf("round %d writer %d: %d, %v", round, i, seq, err)
				}
			})
		}
		if wg.Wait(); wins.Load() != 1 {
			t.Fatalf("round %d has %d winners", round, wins.Load())
		}
	}
	err := logs[0].Read(t.Context(), 1, rounds, func(seq uint64, body []byte) error {
		if string(body) != bodies[seq-1] {
			return fmt.Errorf("record %d is %q, %q was told that it is there", seq, body, bodies[seq-1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadRanges(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	const n = readRecords + 500 // more than one request
	fill(t, l, n, 20)
	for _, r := range []struct{ from, to uint64 }{{1, n}, {1, 1}, {n, n}, {5, 4}, {100, 200}, {readRecords, readRecords + 1}} {
		next := r.from
		err := l.Read(t.Context(), r.from, r.to, func(seq uint64, body []byte) error {
			want := fmt.Sprintf("record %d ", seq-1)
			if seq != next || !bytes.HasPrefix(body, []byte(want)) {
				return fmt.Errorf("record %d is %q, want record %d to begin %q", seq, body, next, want)
			}
			next++
			return nil
		})
		if err != nil || next != max(r.from, r.to+1) {
			t.Errorf("%d to %d: next is %d, %v", r.from, r.to, next, err)
		}
	}
	stop := errors.New("stop")
	wantIs(t, l.Read(t.Context(), 1, n, func(uint64, []byte) error { return stop }), stop)
	if err := l.Read(t.Context(), 0, 1, nil); err == nil {
		t.Error("sequence 0 was taken")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantIs(t, l.Read(ctx, n+1, n+1, nil), context.DeadlineExceeded) // not there yet
}

func TestReadTrimmed(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	fill(t, l, 20, 20)
	if err := l.Trim(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := l.Trim(t.Context(), 11); err != nil {
		t.Fatal(err)
	}
	st, err := l.State(t.Context())
	if err != nil || st.First != 11 || st.Last != 20 || st.Records() != 10 {
		t.Fatal(st, err)
	}
	for _, from := range []uint64{1, 5, 10} {
		err := l.Read(t.Context(), from, 20, func(seq uint64, _ []byte) error { return fmt.Errorf("%d came", seq) })
		trimmed, ok := errors.AsType[*TrimmedError](err)
		if !ok || trimmed.Want != from || trimmed.First != 11 {
			t.Fatal(err)
		}
	}
	if err := l.Trim(t.Context(), 21); err != nil {
		t.Fatal(err)
	}
	if st, err = l.State(t.Context()); err != nil || st.First != 21 || st.Last != 20 || st.Records() != 0 {
		t.Fatal(st, err)
	}
	fill(t, l, 1, 20) // the numbers go on
	if st, err = l.State(t.Context()); err != nil || st.First != 21 || st.Last != 21 {
		t.Fatal(st, err)
	}
}

func TestLargeRecords(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	sizes := []int{24 << 20, 10, 9 << 20, 9 << 20, MaxRecord}
	for i, n := range sizes {
		if _, err := l.Append(t.Context(), uint64(i), bytes.Repeat([]byte{byte('a' + i)}, n)); err != nil {
			t.Fatal(err)
		}
	}
	read := 0
	err := l.Read(t.Context(), 1, uint64(len(sizes)), func(seq uint64, body []byte) error {
		if i := int(seq - 1); len(body) != sizes[i] || body[len(body)-1] != byte('a'+i) {
			return fmt.Errorf("record %d has %d bytes", seq, len(body))
		}
		read++
		return nil
	})
	if err != nil || read != len(sizes) {
		t.Fatal(read, err)
	}
}

// A replica that takes a question and does not answer, frozen or cut off, delays
// a reader by little: another one is asked.
func TestReadOutlastsASilentReplica(t *testing.T) {
	s := startServer(t)
	l := createLog(t, s, testConfig())
	fill(t, l, 20, 20)
	nc, asked := connect(t, s), atomic.Int32{}
	_, err := nc.Subscribe("$JS.API.DIRECT.GET.frozen", func(m *nats.Msg) {
		if asked.Add(1) > 1 {
			_ = nc.PublishRequest("$JS.API.DIRECT.GET."+StreamName("s1"), m.Reply, m.Data)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	l.name = "frozen"
	read, start := 0, time.Now()
	if err := l.Read(t.Context(), 1, 20, func(uint64, []byte) error { read++; return nil }); err != nil || read != 20 {
		t.Fatal(read, err)
	}
	if took := time.Since(start); took < readStall || asked.Load() < 2 {
		t.Fatalf("asked %d times in %v", asked.Load(), took)
	}
}
