package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// holdServer, in the environment, makes the test binary a server with those fields, to
// be killed or frozen.
const holdServer = "EMBEDDED_TEST_HOLD"

func TestMain(m *testing.M) {
	if fields := os.Getenv(holdServer); fields != "" {
		hold(fields)
	}
	goleak.VerifyTestMain(m)
}

// hold serves until it is killed, and tells its parent when it serves.
func hold(fields string) {
	s := &Server{}
	if err := json.Unmarshal([]byte(fields), s); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := s.Start(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("serving")
	select {}
}

// started returns the server running, on a directory and a port of its own unless it names them.
func started(t *testing.T, s *Server) *Server {
	t.Helper()
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	if s.Listen == "" {
		s.Listen = "127.0.0.1:-1"
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// withLog makes the streams of two stripes, a record in each, and returns the connection.
func withLog(t *testing.T, s *Server) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, js := logOf(t, s)
	for _, stripe := range []string{"s1", "s2"} {
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: "trireme-" + stripe, Subjects: []string{"trireme.log." + stripe}, AllowDirect: true,
			Discard: jetstream.DiscardNew, MaxBytes: 1 << 20,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "trireme.log."+stripe, []byte("first record of "+stripe)); err != nil {
			t.Fatal(err)
		}
	}
	return nc, js
}

// dial connects from outside. Permission errors of the connection arrive on the channel.
func dial(t *testing.T, s *Server, options ...nats.Option) (*nats.Conn, <-chan error) {
	t.Helper()
	errs := make(chan error, 100)
	options = append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { errs <- err }))
	nc, err := nats.Connect(s.URL(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, errs
}

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second
