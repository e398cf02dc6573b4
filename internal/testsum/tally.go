package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// An event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

type testName struct{ pkg, name string }

// A tally counts tests and keeps the output of those that have not ended.
type tally struct {
	out     io.Writer
	verbose bool

	passed, failed int
	skipped        []string
	running        map[testName]*strings.Builder
	blamed         map[string]bool // packages with a test that failed
}

// read takes events until the end. What is not an event is passed on.
func (t *tally) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			t.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read go test: %w", err)
		}
	}
}

func (t *tally) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		fmt.Fprintf(t.out, "%s", line)
		return
	}
	switch e.Action {
	case "build-output":
		fmt.Fprint(t.out, e.Output)
	case "output":
		t.output(e)
	case "pass", "fail", "skip":
		t.ended(e)
	}
}

func (t *tally) output(e event) {
	if t.verbose || e.Test == "" && !wordless(e.Output) {
		fmt.Fprint(t.out, e.Output)
	}
	if e.Test == "" {
		return
	}
	if t.running == nil {
		t.running = map[testName]*strings.Builder{}
	}
	key := testName{e.Package, e.Test}
	if t.running[key] == nil {
		t.running[key] = &strings.Builder{}
	}
	t.running[key].WriteString(e.Output)
}

// wordless tells output of a package that says nothing to a reader.
func wordless(s string) bool {
	return s == "PASS\n" || s == "FAIL\n" || strings.HasSuffix(s, "[no test files]\n")
}

func (t *tally) ended(e event) {
	if e.Test == "" {
		t.packageEnded(e)
		return
	}
	key := testName{e.Package, e.Test}
	said := ""
	if b := t.running[key]; b != nil {
		said = b.String()
	}
	delete(t.running, key)
	switch e.Action {
	case "pass":
		t.passed++
	case "skip":
		t.skipped = append(t.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(said)))
	case "fail":
		t.fail(e.Package, said)
	}
}

// packageEnded shows the tests that a package left unfinished, as a panic
// does, and counts a failure that no test accounts for: one to compile, say.
func (t *tally) packageEnded(e event) {
	left := func(a, b testName) int { return strings.Compare(a.name, b.name) }
	for _, key := range slices.SortedFunc(maps.Keys(t.running), left) {
		if key.pkg == e.Package {
			t.fail(e.Package, t.running[key].String())
			delete(t.running, key)
		}
	}
	if e.Action == "fail" && !t.blamed[e.Package] {
		t.fail(e.Package, "")
	}
}

func (t *tally) fail(pkg, said string) {
	t.failed++
	if t.blamed == nil {
		t.blamed = map[string]bool{}
	}
	t.blamed[pkg] = true
	if !t.verbose {
		fmt.Fprint(t.out, said)
	}
}

// reason is what a skipped test said, in one line.
func reason(said string) string {
	var words []string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			words = append(words, line)
		}
	}
	return strings.Join(words, " ")
}

// close prints the closing lines.
func (t *tally) close() {
	for _, s := range t.skipped {
		fmt.Fprintf(t.out, "skipped: %s\n", s)
	}
	if t.passed+t.failed == 0 {
		fmt.Fprintln(t.out, "no test ran")
	}
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, len(t.skipped))
}
