package buckets

import (
	"fmt"
	"log/slog"
)

// databaseLog passes what Pebble says to slog.
type databaseLog struct{ log *slog.Logger }

func (l databaseLog) Infof(format string, args ...any) {
	l.log.Debug("document store", "says", fmt.Sprintf(format, args...))
}

func (l databaseLog) Errorf(format string, args ...any) {
	l.log.Error("document store", "says", fmt.Sprintf(format, args...))
}

// Fatalf is Pebble's last word: its files can no longer be written. It may not
// return. The process ends and, started again, resumes from its last durable
// position, which is what a crash does too.
func (l databaseLog) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.log.Error("document store cannot go on", "says", text)
	panic("document store cannot go on: " + text)
}
