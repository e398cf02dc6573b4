package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// How this program writes, everywhere:
//
//   - the answer goes to stdout; errors, hints, progress and logs go to stderr;
//   - a table is plain text, columns parted by blanks, no colour, no boxes;
//   - with -o json the answer is one JSON object or list on stdout, an error one
//     on stderr; new fields may come, none changes its meaning;
//   - sizes in JSON are bytes, times RFC 3339; Adama's JSON stays a string, because
//     it is a dialect.
const (
	table  = "table"
	asJSON = "json"
)

// asked finds the output that the arguments want before they are parsed, so that
// what is wrong with them is told in it too.
func asked(args []string) string {
	for i, arg := range args {
		switch arg {
		case "--":
			return table
		case "-ojson", "-o=json", "--output=json":
			return asJSON
		case "-o", "--output":
			if i+1 < len(args) && args[i+1] == asJSON {
				return asJSON
			}
		}
	}
	return table
}

// answer writes v as JSON, or calls text for a person.
func (a *app) answer(v any, text func(io.Writer)) error {
	if a.output == asJSON {
		return writeJSON(a.out, v)
	}
	var b strings.Builder
	text(&b)
	_, err := io.WriteString(a.out, b.String())
	return err
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// rows writes lines of cells as a table. The first line is its head.
func rows(w io.Writer, lines [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range lines {
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	_ = t.Flush() // to memory
}

// say tells a person something that is not the answer. JSON readers are not
// bothered.
func (a *app) say(format string, args ...any) {
	if a.output != asJSON {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// oneLine makes a text fit into a cell: no control characters, at most so many
// runes, "..." for the rest.
func oneLine(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most-3]) + "..."
	}
	return s
}

// short writes a duration with three digits that matter.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d us", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// terminal tells whether a person may be watching. The null device passes for a
// terminal, which does no harm.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
