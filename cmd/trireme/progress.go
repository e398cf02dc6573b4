package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"trireme/ops"
)

// How progress is drawn: on a terminal a bar that is drawn over itself, elsewhere a line
// now and then, both on stderr; with -o json records on stdout, one a line, each with an
// "event": "progress", and in the end the answer, "result".
const (
	barEvery    = 100 * time.Millisecond
	lineEvery   = 10 * time.Second
	recordEvery = time.Second
	barWidth    = 20
)

// A progress tells how far something is.
type progress struct {
	app      *app
	terminal bool
	now      func() time.Time
	last     time.Time // it was drawn
	drawn    string    // what stands on the terminal
}

// A step is how far something is.
type step struct {
	Event string `json:"event"` // progress
	Doing string `json:"doing"`
	Done  int    `json:"done"`
	Of    int    `json:"of"`
	Note  string `json:"note"`
}

// progress begins to tell of something that has just begun: what is over soon is not
// told of.
func (a *app) progress() *progress {
	return &progress{app: a, terminal: a.output != asJSON && terminal(a.err), now: time.Now, last: time.Now()}
}

// at tells of a step, if it is time to.
func (p *progress) at(s step) {
	every := lineEvery
	switch {
	case p.app.output == asJSON:
		every = recordEvery
	case p.terminal:
		every = barEvery
	}
	now := p.now()
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	s.Event = "progress"
	switch {
	case p.app.output == asJSON:
		_ = writeRecord(p.app.out, s) // who reads no more hears no more
	case p.terminal:
		p.draw(s.bar())
	default:
		fmt.Fprintln(p.app.err, s.line())
	}
}

// draw replaces what stands on the terminal.
func (p *progress) draw(text string) {
	text = oneLine(text, 118)
	fmt.Fprint(p.app.err, "\r"+text+strings.Repeat(" ", max(0, len(p.drawn)-len(text)))+"\r")
	p.drawn = text
}

// end clears the terminal for the answer.
func (p *progress) end() {
	if p.drawn != "" {
		p.draw("")
	}
}

func (s step) part() float64 {
	if s.Of == 0 {
		return 0
	}
	return float64(s.Done) / float64(s.Of)
}

func (s step) bar() string {
	text := fmt.Sprintf("%s %s %3.0f %%", s.Doing, bar(s.part()), 100*s.part())
	if s.Note != "" {
		text += "  " + s.Note
	}
	return text
}

func (s step) line() string {
	text := fmt.Sprintf("%s: %.0f %%", s.Doing, 100*s.part())
	if s.Note != "" {
		text += ", " + s.Note
	}
	return text
}

// bar draws a part of a whole.
func bar(part float64) string {
	n := min(barWidth, max(0, int(part*barWidth)))
	return "[" + strings.Repeat("#", n) + strings.Repeat(" ", barWidth-n) + "]"
}

// writeRecord writes v as one line of JSON.
func writeRecord(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// result answers at the end of progress: with -o json v is the last record.
func (a *app) result(v any, text func(io.Writer)) error {
	if a.output == asJSON {
		return writeRecord(a.out, v)
	}
	return a.answer(v, text)
}

// left writes how long something takes until a time.
func left(eta *time.Time, now time.Time) string {
	if eta == nil || !now.Before(*eta) {
		return ""
	}
	return "about " + about(eta.Sub(now)) + " left"
}

// about writes a duration for people, coarsely.
func about(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Round(time.Hour).Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// joined puts together what is not empty.
func joined(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, ", ")
}

// plenty writes a number of things and, where it is known, their size.
func plenty(n uint64, what string, size uint64) string {
	text := fmt.Sprintf("%d %s", n, what)
	if size > 0 {
		text += ", " + ops.Bytes(size)
	}
	return text
}
