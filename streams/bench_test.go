package streams

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"trireme/internal/contract"
	"trireme/internal/record"
)

const benchPayload = 256

// BenchmarkAppend compares a conditional append, and a commit through an owner,
// with a plain JetStream publish of the same payload, one at a time, on synced
// streams.
func BenchmarkAppend(b *testing.B) {
	s := startServer(b)
	body := make([]byte, benchPayload)
	l := createLog(b, s, testConfig())
	var last uint64
	nc := connect(b, s)
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	cfg := testConfig()
	cfg.Stripe = "raw"
	if _, err := js.CreateStream(b.Context(), cfg.stream()); err != nil {
		b.Fatal(err)
	}
	raw := func() error {
		_, err := js.Publish(b.Context(), Subject("raw"), body)
		return err
	}
	ours := func() (err error) {
		last, err = l.Append(b.Context(), last, body)
		return err
	}
	o := startOwner(b, createLog(b, s, Config{Stripe: "owned", Birth: 1}), &nullMachine{}, ownerConfig())
	whole := func() error {
		r := newWrite()
		if err := o.Submit(r, benchPayload); err != nil {
			return err
		}
		return <-r.done
	}
	ways := []struct {
		name string
		do   func() error
		took []time.Duration
	}{{name: "publish", do: raw}, {name: "append", do: ours}, {name: "owner", do: whole}}
	for b.Loop() { // in turns: the disk has moods
		for i := range ways {
			start := time.Now()
			if err := ways[i].do(); err != nil {
				b.Fatal(err)
			}
			ways[i].took = append(ways[i].took, time.Since(start))
		}
	}
	for _, w := range ways {
		slices.Sort(w.took)
		b.ReportMetric(float64(w.took[len(w.took)/2].Microseconds()), w.name+"-p50-us")
		b.ReportMetric(float64(w.took[len(w.took)*99/100].Microseconds()), w.name+"-p99-us")
	}
}

// BenchmarkOwner is the throughput of group commits.
func BenchmarkOwner(b *testing.B) {
	for _, clients := range []int{64, 256, 1000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			s := startServer(b)
			cfg := ownerConfig()
			var records atomic.Int64
			cfg.Listener = func(e Event) {
				if _, ok := e.(Committed); ok {
					records.Add(1)
				}
			}
			o := startOwner(b, createLog(b, s, testConfig()), &nullMachine{}, cfg)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			start := time.Now()
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					r := newWrite()
					for left.Add(-1) >= 0 {
						if err := o.Submit(r, benchPayload); err != nil {
							b.Error(err)
							return
						}
						if err := <-r.done; err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "changes/s")
			b.ReportMetric(float64(b.N)/float64(max(1, records.Load())), "changes/record")
		})
	}
}

// BenchmarkRead reads a log of small records, each one a message of its own.
func BenchmarkRead(b *testing.B) {
	s := startServerSync(b, "2m") // filling it is not what is measured
	for _, size := range []int{300, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			n := min(500_000, 256<<20/size)
			cfg := Config{Stripe: fmt.Sprint("s", size), Birth: 1, MaxBytes: 1 << 30}
			l := createLog(b, s, cfg)
			nc := connect(b, s)
			js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1000))
			if err != nil {
				b.Fatal(err)
			}
			body := make([]byte, size)
			for range n {
				if _, err := js.PublishMsgAsync(&nats.Msg{Subject: l.subject, Data: body, Header: nats.Header{"Nats-Expected-Stream": {l.name}}}); err != nil {
					b.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			b.SetBytes(int64(n * size))
			start, rounds := time.Now(), 0
			for b.Loop() {
				got := 0
				err := l.Read(b.Context(), 1, uint64(n), func(uint64, []byte) error { got++; return nil })
				if err != nil || got != n {
					b.Fatal(got, err)
				}
				rounds++
			}
			b.ReportMetric(float64(n*rounds)/time.Since(start).Seconds(), "records/s")
		})
	}
}

// A nullMachine keeps the chain and nothing else.
type nullMachine struct{ at State }

func (m *nullMachine) Applied() State  { return m.at }
func (m *nullMachine) Durable() uint64 { return 0 }
func (m *nullMachine) Apply(seq uint64, body []byte) error {
	m.at.Seq, m.at.Chain = seq, m.at.Chain.Next(body)
	return nil
}

// A write is a proposal with a change of about benchPayload bytes.
type write struct {
	change record.Change
	done   chan error
}

func newWrite() *write {
	return &write{done: make(chan error, 1), change: record.Change{
		Verb: record.Patch, Key: contract.Key{Space: "space", Key: "key"}, ID: "0123456789abcdef",
		Updates: []contract.Update{{SeqBegin: 2, SeqEnd: 2, UpdateType: contract.Internal, Redo: string(make([]byte, benchPayload/2)), Undo: string(make([]byte, benchPayload/2))}},
	}}
}

func (w *write) Prepare(b *record.Builder) bool { b.Add(&w.change); return true }
func (w *write) Done(err error)                 { w.done <- err }
