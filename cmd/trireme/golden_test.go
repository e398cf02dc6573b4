package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
	"trireme/ops"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew; read the difference as prose")

// fakeHost is a NATS server that answers each operation with one text, or refuses
// it with a code, and tells the status of a host with everything wrong.
type fakeHost struct {
	url    string
	refuse atomic.Int64           // the code that requests are refused with; 0 for none
	only   atomic.Pointer[string] // refuse just this operation, nil for all
}

// testNATS is a NATS server of the test, and a connection to it.
func testNATS(t *testing.T) (nc *nats.Conn, url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	nc, err = nats.Connect(s.ClientURL(), nats.InProcessServer(s), nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, s.ClientURL()
}

func newFakeHost(t *testing.T) *fakeHost {
	t.Helper()
	nc, url := testNATS(t)
	f := &fakeHost{url: url}
	if _, err := nc.Subscribe(contract.SubjectPrefix+"*", f.answer); err != nil {
		t.Fatal(err)
	}
	service := &ops.Control{Conn: nc, Host: "h1", Version: "v1.2.3", Status: sickStatus}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fakeHost) answer(m *nats.Msg) {
	op := strings.TrimPrefix(m.Subject, contract.SubjectPrefix)
	reply := &nats.Msg{Subject: m.Reply, Data: []byte(replies()[op]), Header: nats.Header{}}
	only := f.only.Load()
	if code := contract.Code(f.refuse.Load()); code != 0 && (only == nil || *only == op) {
		e := contract.Errorf(code, "as the test wants it")
		reply.Data, _ = json.Marshal(e.Reply())
		reply.Header.Set(micro.ErrorCodeHeader, strconv.Itoa(int(code)))
		reply.Header.Set(micro.ErrorHeader, e.Error())
	}
	_ = m.RespondMsg(reply) // a test that hears nothing fails
}

func replies() map[string]string {
	return map[string]string{
		contract.OpGet:        `{"patch":"{\"turn\":\"<black>\"}","reads":2,"seq":5,"incarnation":"1-2"}`,
		contract.OpInitialize: `{}`, contract.OpPatch: `{}`, contract.OpDelete: `{}`,
		contract.OpLocate: `{"bucket":11268,"partition":44,"stripe":"s1","owner":"h1","epoch":"1-1","members":["h1"],"adama":"","layout":1}`,
		contract.OpHistory: `{"base":{"seq":4,"json":"{\"turn\":1}","asset_bytes":7},"entries":[{"seq_begin":5,"seq_end":6,` +
			`"who":{"agent":"alice","authority":"chess"},"request":"{}","redo":"{\"turn\":2}","undo":"{\"turn\":1}",` +
			`"requires_future_invalidation":true,"when_to_invalidate_ms":50,"asset_bytes":9,"update_type":"Internal",` +
			`"position":"1-8","writer":"w1","request_id":"r1"}],"seq":6,"incarnation":"1-2","asset_bytes":9}`,
	}
}

// sickStatus has something in every field.
func sickStatus() ops.Status {
	s := ops.Status{
		Host: "h1", Version: "v1.2.3", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Layout: 1,
		NATS: "nats://127.0.0.1:4222", HTTP: "http://127.0.0.1:7422",
		Stripes: []ops.Stripe{
			{
				Name: "s1", Members: []string{"h1"}, Partitions: 64, Owner: "h1", Phase: "serving", Epoch: "1-7",
				Applied: 120, Durable: 100, Skipped: 2, LogFirst: 1, LogLast: 120, LogBytes: 900, LogMax: 1000, Queued: 3,
			},
			{Name: "s2", Members: []string{"h1"}, Phase: "ended", Error: "the store is ahead of its log"},
		},
		Store:    ops.Store{DiskBytes: 4 << 20, Hits: 3, Misses: 1, Damaged: 1},
		Disk:     ops.Disk{Free: 1 << 30, Total: 100 << 30, Reserve: 10 << 30},
		Requests: ops.Requests{InFlight: 90, MaxInFlight: 100, Bytes: 5000, MaxBytes: 10000},
	}
	s.Assess()
	return s
}

// What a call has met when its time is over differs from run to run.
var met = regexp.MustCompile(`gave up [^"]*`)

// The JSON of every command is promised: a difference here is a promise broken,
// unless a field was added.
func TestGolden(t *testing.T) {
	f := newFakeHost(t)
	for _, c := range []struct {
		name string
		args string // parted by blanks
		code contract.Code
		exit int
	}{
		{"get", "doc get game chess", 0, 0},
		{"get-local", "doc get game chess --local", 0, 0},
		{"history", "doc history game chess", 0, 0},
		{"put", "doc put game chess {}", 0, 0},
		{"patch", "doc patch game chess {} --seq 6", 0, 0},
		{"patch-on-top", "doc patch game chess {}", 0, 0},
		{"delete", "doc delete game chess --yes", 0, 0},
		{"delete-mark", "doc delete game chess --yes --phase mark", 0, 0},
		{"locate", "locate game chess", 0, 0},
		{"status", "status", 0, 3},
		{"status-host", "status --host h1", 0, 3},
		{"explain", "explain 1500004", 0, 0},
		{"explain-all", "explain", 0, 0},
		{"error-refused", "doc get game chess", contract.BeingDeleted, 5},
		{"error-exists", "doc put game chess {}", contract.Exists, 5},
		{"error-no-quorum", "doc get game chess --timeout 300ms", contract.NoQuorum, 4},
		{"error-unknown", "doc put game chess {} --timeout 300ms --request-id r7", contract.OutcomeUnknown, 1},
		{"error-name", "doc get game " + strings.Repeat("k", 1025), 0, 2},
		{"error-plan", "doc delete game chess", 0, 5},
		{"error-unreachable", "doc get game chess -s nats://127.0.0.1:1", 0, 4},
		{"error-usage", "doc get game", 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.refuse.Store(int64(c.code))
			var stdout, stderr bytes.Buffer
			args := append([]string{"-s", f.url, "-o", "json"}, strings.Fields(c.args)...)
			if exit := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); exit != c.exit {
				t.Errorf("exit %d, want %d; %s", exit, c.exit, &stderr)
			}
			answer, silent := &stdout, &stderr
			if strings.HasPrefix(c.name, "error") {
				answer, silent = silent, answer
			}
			if silent.Len() > 0 {
				t.Errorf("on the other stream: %q", silent)
			}
			if !json.Valid(answer.Bytes()) {
				t.Errorf("not JSON: %s", answer)
			}
			golden(t, c.name+".json", met.ReplaceAll(answer.Bytes(), []byte("gave up ...")))
		})
	}
}

func TestGoldenTables(t *testing.T) {
	bench := &benchResult{
		Server: "nats://127.0.0.1:4222", Op: benchMixed, Clients: 64, Conns: 4, Docs: 64, Size: 256, Seconds: 10.04, PerSecond: 123.5,
		Measured: []benchOp{{"get", 1000, 100, 350.5, 300, 900, 12345, 1234567}, {"patch", 235, 23.5, 700, 650, 990, 2000, 30000}},
		Errors:   []benchError{{"patch", contract.HeadDiffers, "head-differs", 2, "patch: 621580"}},
	}
	status := &hostStatus{Status: sickStatus(), now: time.Date(2026, 1, 3, 3, 4, 5, 0, time.UTC)}
	var b bytes.Buffer
	status.print(&b)
	golden(t, "status.txt", b.Bytes())
	b.Reset()
	bench.print(&b)
	golden(t, "bench.txt", b.Bytes())
	b.Reset()
	if err := writeJSON(&b, bench); err != nil {
		t.Fatal(err)
	}
	golden(t, "bench.json", b.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s", path, got, want)
	}
}
