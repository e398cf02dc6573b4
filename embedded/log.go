package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
)

// serverLog hands the server's log lines to slog. The server reports what ends its
// start as a fatal line: until started is called, the first one arrives on fatal. No
// line exits the process.
type serverLog struct {
	log   *slog.Logger
	fatal chan error
	up    atomic.Bool
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log.With("component", "nats"), fatal: make(chan error, 1)}
}

const levelTrace = slog.LevelDebug - 4

// Noticef is for whoever debugs: what matters of a start the host says itself.
func (l *serverLog) Noticef(format string, v ...any) { l.print(slog.LevelDebug, format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.print(slog.LevelDebug, format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.print(levelTrace, format, v) }

// Errorf reports an error, but of a server that is not up yet, or down, only warns: the
// host tells of it, and the route is tried for ever.
func (l *serverLog) Errorf(format string, v ...any) {
	level := slog.LevelError
	if strings.HasPrefix(format, "Error trying to connect to route") {
		level = slog.LevelWarn
	}
	l.print(level, format, v)
}

// Warnf warns, but not of the payload size, which the contract asks for.
func (l *serverLog) Warnf(format string, v ...any) {
	if !strings.HasPrefix(format, "Maximum payloads over") {
		l.print(slog.LevelWarn, format, v)
	}
}

// Fatalf keeps the first fatal line for Start to return, and logs later ones.
func (l *serverLog) Fatalf(format string, v ...any) {
	if !l.up.Load() {
		select {
		case l.fatal <- fmt.Errorf(format, v...):
			return
		default:
		}
	}
	l.print(slog.LevelError, format, v)
}

func (l *serverLog) started() { l.up.Store(true) }

func (l *serverLog) print(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, strings.TrimSpace(fmt.Sprintf(format, v...))) //nolint:sloglint // the message is the NATS server's
	}
}

// explain adds what to do to the fatal lines that people meet.
func explain(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "address already in use"):
		return fmt.Errorf("%w; end the process that has the port, or listen on another one", err)
	case strings.Contains(text, "bind: permission denied"):
		return fmt.Errorf("%w; ports below 1024 need rights, listen on another one", err)
	case strings.Contains(text, "no space left"):
		return fmt.Errorf("%w; free some disk space", err)
	}
	return err
}
