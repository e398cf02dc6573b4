package embedded

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// lines is a buffer that several goroutines write to.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestServerLogsToOurLogger(t *testing.T) {
	var out lines
	s := started(t, &Server{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, piece := range []string{`level=DEBUG msg="Server is ready" component=nats`, `msg="Server Exiting.." component=nats`} {
		if !strings.Contains(text, piece) {
			t.Errorf("the log lacks %s:\n%s", piece, text)
		}
	}
	// The default needs no remedy, so it warns of nothing.
	if strings.Contains(text, "level=WARN") || strings.Contains(text, "level=ERROR") {
		t.Errorf("the log warns:\n%s", text)
	}
}

func TestLevels(t *testing.T) {
	var out lines
	log := newServerLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: levelTrace, ReplaceAttr: dropTime})))
	log.Noticef("a %d", 1)
	log.Warnf("b %s", "two")
	log.Errorf("c")
	log.Errorf("Error trying to connect to route (attempt %v): %v", 1, "refused")
	log.Debugf("  d  ")
	log.Tracef("e")
	log.Fatalf("first %d", 1) // for Start
	log.Fatalf("second")
	log.started()
	if err := <-log.fatal; err == nil || err.Error() != "first 1" {
		t.Errorf("fatal: %v", err)
	}
	log.Fatalf("third")
	want := `level=DEBUG msg="a 1" component=nats
level=WARN msg="b two" component=nats
level=ERROR msg=c component=nats
level=WARN msg="Error trying to connect to route (attempt 1): refused" component=nats
level=DEBUG msg=d component=nats
level=DEBUG-4 msg=e component=nats
level=ERROR msg=second component=nats
level=ERROR msg=third component=nats
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func TestExplain(t *testing.T) {
	for text, remedy := range map[string]string{
		"listen tcp 127.0.0.1:1: bind: address already in use": "listen on another one",
		"listen tcp 127.0.0.1:1: bind: permission denied":      "ports below 1024 need rights",
		"write /x: no space left on device":                    "free some disk space",
		"anything else":                                        "",
	} {
		err := errors.New(text)
		got := explain(err)
		if !errors.Is(got, err) || !strings.Contains(got.Error(), remedy) {
			t.Errorf("explain(%q) = %q", text, got)
		}
	}
}
