package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
)

const payloadBytes = 256

// A reading is one measurement.
type reading struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration // of the server, per operation
}

// A contestant does one operation for a client.
type contestant struct {
	name  string
	start func(ctx context.Context, s settings, dir string) (*process, error)
	// client returns what one client does again and again.
	client func(nc *nats.Conn, n int) (func() error, error)
}

// peers compares 256-byte patches with bare publishes of 256 bytes to a stream
// with one replica, both synced before they are acknowledged.
func peers(ctx context.Context, s settings) error {
	contestants := []contestant{
		{"JetStream R1", func(ctx context.Context, _ settings, dir string) (*process, error) { return startRaw(ctx, dir) }, publisher},
		{"Trireme", func(ctx context.Context, s settings, dir string) (*process, error) {
			return startHost(ctx, s.program, dir)
		}, patcher},
	}
	fmt.Printf("| clients | bare JetStream R1 | p50 | p99 | Trireme | p50 | p99 | throughput | p50 ratio | CPU/op bare | CPU/op Trireme |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, clients := range []int{1, 16, 64, 256} {
		results := make([][]reading, len(contestants))
		for round := range s.rounds {
			for i, c := range contestants {
				dir := filepath.Join(s.dir, fmt.Sprintf("peers-%d-%d-%d", clients, round, i))
				r, err := contest(ctx, s, c, clients, dir)
				if err != nil {
					return fmt.Errorf("%s with %d clients: %w", c.name, clients, err)
				}
				results[i] = append(results[i], r)
			}
		}
		bare, ours := median(results[0]), median(results[1])
		fmt.Printf("| %d | %.0f/s | %v | %v | %.0f/s | %v | %v | %.2fx | %.2fx | %v | %v |\n", clients,
			bare.perSecond, micros(bare.p50), micros(bare.p99), ours.perSecond, micros(ours.p50), micros(ours.p99),
			ours.perSecond/bare.perSecond, float64(ours.p50)/float64(bare.p50), micros(bare.cpu), micros(ours.cpu))
	}
	fmt.Println()
	return nil
}

func micros(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

// median takes the reading in the middle by throughput.
func median(list []reading) reading {
	slices.SortFunc(list, func(a, b reading) int { return int(a.perSecond - b.perSecond) })
	return list[len(list)/2]
}

func contest(ctx context.Context, s settings, c contestant, clients int, dir string) (r reading, err error) {
	p, err := c.start(ctx, s, dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return drive(p, c.client, clients, s.duration)
}

// drive runs the clients on one connection for every 16 of them.
func drive(p *process, client func(*nats.Conn, int) (func() error, error), clients int, duration time.Duration) (reading, error) {
	var conns []*nats.Conn
	defer func() {
		for _, nc := range conns {
			nc.Close()
		}
	}()
	acts := make([]func() error, clients)
	for i := range acts {
		if i%16 == 0 {
			nc, err := nats.Connect(p.nats)
			if err != nil {
				return reading{}, err
			}
			conns = append(conns, nc)
		}
		var err error
		if acts[i], err = client(conns[i/16], i); err != nil {
			return reading{}, err
		}
	}
	before, err := p.cpu()
	if err != nil {
		return reading{}, err
	}
	histogram, took, err := load(acts, duration)
	if err != nil {
		return reading{}, err
	}
	after, err := p.cpu()
	if err != nil {
		return reading{}, err
	}
	n := histogram.TotalCount()
	return reading{
		perSecond: float64(n) / took.Seconds(),
		p50:       time.Duration(histogram.ValueAtQuantile(50)),
		p99:       time.Duration(histogram.ValueAtQuantile(99)),
		cpu:       (after - before) / time.Duration(max(1, n)),
	}, nil
}

func load(acts []func() error, duration time.Duration) (*hdrhistogram.Histogram, time.Duration, error) {
	total := hdrhistogram.New(1000, int64(time.Minute), 3)
	var mu sync.Mutex
	var first error
	var wg sync.WaitGroup
	began := time.Now()
	for _, act := range acts {
		wg.Go(func() {
			h := hdrhistogram.New(1000, int64(time.Minute), 3)
			var err error
			for now := time.Now(); err == nil && now.Sub(began) < duration; {
				err = act()
				next := time.Now()
				_ = h.RecordValue(int64(next.Sub(now))) // over a minute is an error of act
				now = next
			}
			mu.Lock()
			defer mu.Unlock()
			total.Merge(h)
			first = errors.Join(first, err)
		})
	}
	wg.Wait()
	return total, time.Since(began), first
}

func publisher(nc *nats.Conn, n int) (func() error, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		if _, err := js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "bare", Subjects: []string{"bare"}, Storage: jetstream.FileStorage}); err != nil {
			return nil, err
		}
	}
	payload := []byte(strings.Repeat("x", payloadBytes))
	return func() error {
		_, err := js.Publish(context.Background(), "bare", payload)
		return err
	}, nil
}

// patcher patches a document of its own, as Adama would: one patch in flight,
// each under a request id, payloadBytes of redo, undo and request.
func patcher(nc *nats.Conn, n int) (func() error, error) {
	key := fmt.Sprintf("doc-%d", n)
	if err := ask(nc, contract.OpInitialize, contract.InitializeRequest{Space: "perf", Key: key, Patch: contract.Update{SeqEnd: 1, Redo: `{}`, Undo: `{}`, UpdateType: contract.Internal}}, ""); err != nil {
		return nil, err
	}
	// The body is put together by hand: what a client spends on its JSON is not
	// what is measured, and it shares the machine with what is.
	head := `{"space":"perf","key":"` + key + `","patches":[{"seq_begin":`
	redo := `,"update_type":"AddUserData","redo":"{\"t\":\"` + strings.Repeat("x", payloadBytes-40) + `\",\"n\":`
	seq, body := int64(1), []byte(nil)
	return func() error {
		seq++
		body = strconv.AppendInt(append(body[:0], head...), seq, 10)
		body = strconv.AppendInt(append(body, `,"seq_end":`...), seq, 10)
		body = strconv.AppendInt(append(body, redo...), seq, 10)
		body = strconv.AppendInt(append(body, `}","undo":"{\"n\":`...), seq-1, 10)
		body = append(body, `}"}]}`...)
		return send(nc, contract.OpPatch, body, key+"-"+strconv.FormatInt(seq, 10))
	}, nil
}

func ask(nc *nats.Conn, op string, request any, id string) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return send(nc, op, body, id)
}

func send(nc *nats.Conn, op string, body []byte, id string) error {
	m := &nats.Msg{Subject: contract.SubjectPrefix + op, Data: body}
	if id != "" {
		m.Header = nats.Header{contract.HeaderRequestID: {id}}
	}
	reply, err := nc.RequestMsg(m, 30*time.Second)
	if err != nil {
		return err
	}
	if code := reply.Header.Get(micro.ErrorCodeHeader); code != "" {
		return fmt.Errorf("%s: %s", op, reply.Data)
	}
	return nil
}
