package embedded

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestStartServesAndCloseEnds(t *testing.T) {
	s := started(t, &Server{})
	if err := s.Healthy(); err != nil {
		t.Error(err)
	}
	if !s.NATS().JetStreamEnabled() {
		t.Error("JetStream is off")
	}
	nc, _ := withLog(t, s)
	outside, _ := dial(t, s)
	if err := outside.Flush(); err != nil {
		t.Error(err)
	}
	if err := s.Start(t.Context()); !errors.Is(err, ErrRunning) {
		t.Errorf("second Start: %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !nc.IsClosed() {
		t.Error("Close left the log connection open")
	}
	if _, err := s.Log(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Log after Close: %v", err)
	}
	if err := s.Healthy(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Healthy after Close: %v", err)
	}
	if s.URL() != "" || s.NATS() != nil {
		t.Errorf("after Close: URL %q, server %v", s.URL(), s.NATS())
	}
}

func TestRecordsSurviveARestart(t *testing.T) {
	s := started(t, &Server{})
	withLog(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	nc, err := s.Log()
	if err != nil {
		t.Fatal(err)
	}
	// Start promises that every stream is there when it returns: no waiting here.
	if got := record(t, nc, "trireme-s1", 1); got != "first record of s1" {
		t.Errorf("record 1 is %q", got)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "jetstream", logAccount, "streams", "trireme-s1")); err != nil {
		t.Error(err)
	}
}

func record(t *testing.T, nc *nats.Conn, stream string, seq uint64) string {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return string(m.Data)
}

func TestTwoServersInOneProcess(t *testing.T) {
	a, b := started(t, &Server{Name: "h1"}), started(t, &Server{Name: "h2"})
	ca, _ := withLog(t, a)
	cb, err := b.Log()
	if err != nil {
		t.Fatal(err)
	}
	if ca.ConnectedServerName() != "h1" || cb.ConnectedServerName() != "h2" || a.URL() == b.URL() {
		t.Errorf("%s at %s, %s at %s", ca.ConnectedServerName(), a.URL(), cb.ConnectedServerName(), b.URL())
	}
	js, _ := jetstream.New(cb)
	if _, err := js.Stream(t.Context(), "trireme-s1"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("a stream of h1 on h2: %v", err)
	}
}

func TestNoListener(t *testing.T) {
	s := started(t, &Server{Listen: NoListener})
	if s.URL() != "" {
		t.Errorf("URL %q", s.URL())
	}
	if err := s.Healthy(); err != nil {
		t.Error(err)
	}
	withLog(t, s)
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocked := t.TempDir() // its jetstream is a file
	if err := os.WriteFile(filepath.Join(blocked, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held := started(t, &Server{})
	tests := []struct {
		name   string
		server *Server
		want   string
	}{
		{"port taken", &Server{Listen: taken.Addr().String()}, "end the process that has the port"},
		{"monitoring port taken", &Server{Extra: "http: \"" + taken.Addr().String() + "\""}, "end the process that has the port"},
		{"route port taken", &Server{Cluster: &Cluster{Name: "x", Listen: taken.Addr().String(), Routes: []string{"127.0.0.1:1", "127.0.0.1:2"}}}, "end the process that has the port"},
		{"directory below a file", &Server{Dir: filepath.Join(file, "data")}, "not a directory; choose another one"},
		{"directory is a file", &Server{Dir: file}, "not a directory; choose another one"},
		{"store is a file", &Server{Dir: blocked}, "not a directory"},
		{"directory taken", &Server{Dir: held.Dir}, "end that process or choose another directory"},
		{"bad field", &Server{Name: "a b"}, `name "a b"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.server
			s.Dir, s.Listen = or(s.Dir, t.TempDir()), or(s.Listen, "127.0.0.1:-1")
			err := s.Start(t.Context())
			if err == nil {
				s.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want it to say %q", err, tt.want)
			}
			if errors.Is(err, ErrLocked) != (tt.name == "directory taken") {
				t.Errorf("is ErrLocked: %v", err)
			}
			if s.Healthy() == nil {
				t.Error("it is healthy")
			}
		})
	}
}

func TestFailedStartLeavesTheDirectoryFree(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Dir: t.TempDir(), Listen: taken.Addr().String()}
	if err := s.Start(t.Context()); err == nil {
		t.Fatal("it started on a port that is taken")
	}
	taken.Close()
	started(t, s)
}

func TestStartEndsWithItsContext(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s := &Server{Dir: t.TempDir(), Listen: "127.0.0.1:-1"}
	if err := s.Start(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Start with an ended context: %v", err)
	}

	// And one that ends in the middle: when the server says that it starts JetStream.
	cause := errors.New("the operator gave up")
	ctx, giveUp := context.WithCancelCause(t.Context())
	s.Logger = slog.New(&onMessage{part: "Starting JetStream", do: func() { giveUp(cause) }})
	if err := s.Start(ctx); !errors.Is(err, cause) {
		t.Fatalf("Start: %v", err)
	}
	s.Logger = nil
	started(t, s) // nothing is left over
}

// onMessage calls do once, when a line has the part in it.
type onMessage struct {
	part string
	do   func()
	once sync.Once
}

func (h *onMessage) Enabled(context.Context, slog.Level) bool { return true }
func (h *onMessage) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *onMessage) WithGroup(string) slog.Handler            { return h }
func (h *onMessage) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.part) {
		h.once.Do(h.do)
	}
	return nil
}

func TestKilledProcessFreesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	other := elsewhere(t, &Server{Dir: dir, Listen: NoListener})
	s := &Server{Dir: dir, Listen: NoListener}
	if err := s.Start(t.Context()); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process "+itoa(other.Pid)) {
		t.Errorf("Start next to process %d: %v", other.Pid, err)
	}
	if err := other.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = other.Wait() // it was killed
	started(t, s)
}

func TestLogConnectionComesBack(t *testing.T) {
	s := started(t, &Server{})
	nc, js := withLog(t, s)
	back := make(chan struct{}, 1)
	nc.SetReconnectHandler(func(*nats.Conn) { back <- struct{}{} })
	id, err := nc.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	// As the server does with a connection that is too slow for it.
	if err := s.NATS().DisconnectClientByID(id); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case <-back:
	case <-ctx.Done():
		t.Fatal("the connection did not come back")
	}
	if _, err := js.Publish(ctx, "trireme.log.s1", []byte("second")); err != nil {
		t.Error(err)
	}
}

func TestCloseDrains(t *testing.T) {
	s := started(t, &Server{})
	service, err := s.Service()
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	_, err = service.Subscribe("adama.v1.slow", func(m *nats.Msg) {
		close(entered)
		<-release
		_ = m.Respond([]byte("done")) // the request below sees a loss
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
	client, _ := dial(t, s)
	answer := make(chan string, 1)
	go func() {
		m, err := client.Request("adama.v1.slow", nil, patience)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- string(m.Data)
	}()
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for !service.IsDraining() { // then let the handler end
		runtime.Gosched()
	}
	close(release)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got := <-answer; got != "done" {
		t.Errorf("the request in hand got %q", got)
	}
}
