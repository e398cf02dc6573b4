package host

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"trireme/internal/config"
	"trireme/internal/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long the tests wait for what comes at once on a machine that
// has nothing else to do.
const patience = 90 * time.Second

// A rig is a host in this process, which can be restarted on its data.
type rig struct {
	t    testing.TB
	cfg  config.Config
	host *Host
	nc   *nats.Conn
}

// testConfig is a host on free ports in a directory of the test.
func testConfig(t testing.TB) config.Config {
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.HTTP = t.TempDir(), "127.0.0.1:-1", "127.0.0.1:0"
	cfg.DiskReserve = 1 << 20 // of a machine whose disk may be small
	cfg.Log.MaxBytes = 256 << 20
	cfg.Requests.Hold = time.Minute // of a slow machine under the race detector
	return cfg
}

func newRig(t testing.TB, change ...func(*config.Config)) *rig {
	t.Helper()
	r := &rig{t: t, cfg: testConfig(t)}
	for _, f := range change {
		f(&r.cfg)
	}
	r.start()
	t.Cleanup(func() {
		if r.host != nil {
			r.stop()
		}
	})
	return r
}

func (r *rig) start() {
	r.t.Helper()
	if err := r.tryStart(); err != nil {
		r.t.Fatal(err)
	}
	var err error
	if r.nc, err = nats.Connect(r.host.NATS(), nats.Timeout(10*time.Second)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) tryStart() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h := &Host{Config: r.cfg, Version: "1.2.3", Logger: testLogger(r.t)}
	if err := h.Start(ctx); err != nil {
		return err
	}
	r.host = h
	return nil
}

func (r *rig) stop() {
	r.t.Helper()
	r.nc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.host.Close(ctx); err != nil {
		r.t.Error(err)
	}
	r.host = nil
}

func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

// An answer is what a raw request got.
type answer struct {
	code contract.Code // 0 for success
	body map[string]any
	msg  *nats.Msg
}

// ask sends a raw request: what `nats req` does.
func (r *rig) ask(op string, body any, headers ...string) answer {
	r.t.Helper()
	data, isRaw := body.([]byte)
	if !isRaw {
		var err error
		if data, err = json.Marshal(body); err != nil {
			r.t.Fatal(err)
		}
	}
	msg := &nats.Msg{Subject: contract.SubjectPrefix + op, Data: data, Header: nats.Header{}}
	for i := 0; i+1 < len(headers); i += 2 {
		msg.Header[headers[i]] = []string{headers[i+1]}
	}
	reply, err := r.nc.RequestMsg(msg, patience)
	if err != nil {
		r.t.Fatalf("%s %.200s: %v", op, data, err)
	}
	return r.read(reply)
}

func (r *rig) read(reply *nats.Msg) answer {
	r.t.Helper()
	a := answer{msg: reply}
	if err := json.Unmarshal(reply.Data, &a.body); err != nil {
		r.t.Fatalf("reply %.200q: %v", reply.Data, err)
	}
	if header := reply.Header.Get(micro.ErrorCodeHeader); header != "" {
		code, err := strconv.Atoi(header)
		if err != nil {
			r.t.Fatalf("error code %q: %v", header, err)
		}
		a.code = contract.Code(code)
		if int(a.body["code"].(float64)) != code || a.body["name"] != a.code.Name() || a.body["message"] == "" || a.body["hint"] == "" {
			r.t.Errorf("error body %v does not say what header %d says", a.body, code)
		}
	}
	return a
}

// must asks and fails the test on a refusal.
func (r *rig) must(op string, body any, headers ...string) answer {
	r.t.Helper()
	a := r.ask(op, body, headers...)
	if a.code != 0 {
		r.t.Fatalf("%s %v: %d %v", op, body, a.code, a.body)
	}
	return a
}

func (r *rig) refused(want contract.Code, op string, body any, headers ...string) answer {
	r.t.Helper()
	a := r.ask(op, body, headers...)
	if a.code != want {
		r.t.Errorf("%s %.200v: %d %.300v, want %d", op, body, a.code, a.body, want)
	}
	return a
}

// Requests in short.

type object = map[string]any

func update(begin, end int, redo, undo string) object {
	return object{"seq_begin": begin, "seq_end": end, "redo": redo, "undo": undo}
}

func doc(space, key string, more ...any) object {
	o := object{"space": space, "key": key}
	for i := 0; i+1 < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

func testLogger(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	return slog.New(slog.DiscardHandler)
}
