package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

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

// A contestant is a server with what one client asks it, again and again.
type contestant struct {
	name    string
	start   func(ctx context.Context, s settings, dir string) (*process, error)
	prepare func(nc *nats.Conn, clients int) error
	client  func(n int) client
}

// peers compares 256-byte patches with bare publishes of 256 bytes to a stream
// with one replica, both synced before they are acknowledged.
func peers(ctx context.Context, s settings) error {
	contestants := []contestant{
		{"JetStream R1", func(ctx context.Context, _ settings, dir string) (*process, error) { return startRaw(ctx, dir) }, createStream, newPublisher},
		{"Trireme", func(ctx context.Context, s settings, dir string) (*process, error) {
			return startHost(ctx, s.program, dir)
		}, createDocuments, newPatcher},
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
	nc, err := nats.Connect(p.nats)
	if err != nil {
		return r, err
	}
	defer nc.Close()
	if err := c.prepare(nc, clients); err != nil {
		return r, err
	}
	before, err := p.cpu()
	if err != nil {
		return r, err
	}
	histogram, took, err := drive(p.nats, c.client, clients, s.duration)
	if err != nil {
		return r, err
	}
	after, err := p.cpu()
	n := histogram.TotalCount()
	return reading{
		perSecond: float64(n) / took.Seconds(),
		p50:       time.Duration(histogram.ValueAtQuantile(50)),
		p99:       time.Duration(histogram.ValueAtQuantile(99)),
		cpu:       (after - before) / time.Duration(max(1, n)),
	}, err
}

func createStream(nc *nats.Conn, _ int) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "bare", Subjects: []string{"bare"}, Storage: jetstream.FileStorage})
	return err
}

// A publisher publishes the same payload, and waits for the acknowledgement.
type publisher struct{ payload []byte }

func newPublisher(int) client { return &publisher{[]byte(strings.Repeat("x", payloadBytes))} }

func (p *publisher) next(m *nats.Msg) { m.Subject, m.Data = "bare", p.payload }

func (p *publisher) check(reply *nats.Msg) error {
	if !bytes.Contains(reply.Data, []byte(`"seq":`)) {
		return fmt.Errorf("publish: %s", reply.Data)
	}
	return nil
}

func documentName(n int) string { return fmt.Sprintf("doc-%d", n) }

func createDocuments(nc *nats.Conn, clients int) error {
	for n := range clients {
		first := contract.Update{SeqEnd: 1, Redo: `{}`, Undo: `{}`, UpdateType: contract.Internal}
		if err := ask(nc, contract.OpInitialize, contract.InitializeRequest{Space: "perf", Key: documentName(n), Patch: first}, ""); err != nil {
			return err
		}
	}
	return nil
}

// A patcher patches a document of its own, as Adama would: one patch in flight,
// each under a request id, payloadBytes of redo and undo. The body is put together
// by hand: what a client spends on its JSON is not what is measured, and it shares
// the machine with what is.
type patcher struct {
	key, head, redo string
	seq             int64
	body            []byte
}

func newPatcher(n int) client {
	key := documentName(n)
	return &patcher{
		key:  key,
		head: `{"space":"perf","key":"` + key + `","patches":[{"seq_begin":`,
		redo: `,"update_type":"AddUserData","redo":"{\"t\":\"` + strings.Repeat("x", payloadBytes-40) + `\",\"n\":`,
		seq:  1,
	}
}

func (p *patcher) next(m *nats.Msg) {
	p.seq++
	b := strconv.AppendInt(append(p.body[:0], p.head...), p.seq, 10)
	b = strconv.AppendInt(append(b, `,"seq_end":`...), p.seq, 10)
	b = strconv.AppendInt(append(b, p.redo...), p.seq, 10)
	b = strconv.AppendInt(append(b, `}","undo":"{\"n\":`...), p.seq-1, 10)
	p.body = append(b, `}"}]}`...)
	m.Subject, m.Data = contract.SubjectPrefix+contract.OpPatch, p.body
	m.Header = nats.Header{contract.HeaderRequestID: {p.key + "-" + strconv.FormatInt(p.seq, 10)}}
}

func (p *patcher) check(reply *nats.Msg) error {
	if string(reply.Data) != "{}" {
		return fmt.Errorf("patch: %s", reply.Data)
	}
	return nil
}

func ask(nc *nats.Conn, op string, request any, id string) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
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
