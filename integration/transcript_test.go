package integration

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A transcript is one command of a document and what a person sees of it.
//
// Transcripts stand in blocks that begin with ```console. A line with $ in front is a
// command, the lines up to the next one are its output. See [matches] for how they are
// compared. A last line ^C says that the command goes on until somebody ends it, and
// [exit 2] that it ends with that code.
type transcript struct {
	command string
	output  []string
	from    int // the line of the document, from 0, where the output begins
}

const (
	fence     = "```"
	console   = fence + "console"
	interrupt = "^C"
)

// readTranscripts finds all transcripts of a document. A command that stands in another
// kind of block would not be found, so it is a fault.
func readTranscripts(text string) ([]transcript, error) {
	var list []transcript
	block := ""
	for n, line := range strings.Split(text, "\n") {
		begins := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, fence) && block != "":
			block = ""
		case strings.HasPrefix(line, fence):
			block = line
			if block == fence {
				return nil, fmt.Errorf("line %d: say what the block holds, as in %s", n+1, console)
			}
		case block == console && strings.HasPrefix(line, "$ "):
			list = append(list, transcript{command: strings.TrimPrefix(line, "$ "), from: n + 1})
		case block == console && len(list) == 0:
			return nil, fmt.Errorf("line %d: output without a command", n+1)
		case block == console:
			last := &list[len(list)-1]
			if last.from+len(last.output) != n {
				return nil, fmt.Errorf("line %d: output without a command", n+1)
			}
			last.output = append(last.output, line)
		case strings.HasPrefix(begins, "$ ") || (block != "" || strings.HasPrefix(line, "    ")) && (strings.HasPrefix(begins, "nats ") || strings.HasPrefix(begins, "trireme ")):
			return nil, fmt.Errorf("line %d: a command that nothing runs: put it into a block %s, with $ in front", n+1, console)
		}
	}
	if block != "" {
		return nil, errors.New("the last block is not closed")
	}
	return list, nil
}

// runsOn reports whether the command goes on until somebody ends it.
func (t transcript) runsOn() bool {
	return len(t.output) > 0 && t.output[len(t.output)-1] == interrupt
}

// examples are what differs from run to run and looks the same: times, lengths of time,
// sizes, names that programs make up, versions.
var examples = regexp.MustCompile(strings.Join([]string{
	`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( \+0000 UTC|Z)?`, // a time
	`\b\d\d:\d\d:\d\d\b`,
	`\b(\d+(\.\d+)?(ns|µs|ms|s|m|h|d))+\b`, // how long
	`\b\d+(\.\d+)? ?(B|KiB|MiB|GiB|PiB)\b`, // how large
	`\b[0-9A-Za-z]{22}\b`,                  // of a service, of a request
	`\b[A-Z0-9]{56}\b`,                     // of a server, of a user
	`\b[0-9a-f]{12,64}\b`,                  // digests
	`\b\d{13}\b`,                           // Unix milliseconds
	`\b\d+\.\d+\.\d+\b`,                    // versions
}, "|"))

var (
	blanks = regexp.MustCompile(`[ \t\r]+`)
	rules  = regexp.MustCompile(`─+`)
	dots   = regexp.MustCompile(` ?\.\.\. ?`) // also for nothing, as in the cell of a table
)

// plain is output without what [matches] does not look at.
func plain(lines []string) []string {
	var kept []string
	for _, line := range lines {
		line = examples.ReplaceAllString(line, "EXAMPLE")
		line = strings.TrimSpace(rules.ReplaceAllString(blanks.ReplaceAllString(line, " "), "─"))
		if line != "" {
			kept = append(kept, line)
		}
	}
	return kept
}

// matches compares output line by line. Empty lines do not count; blanks and the rules
// of tables count once, however long; one example counts as another; three dots stand for anything, and
// alone on a line for any number of lines.
func matches(want []string, got string) bool {
	var pattern strings.Builder
	for _, line := range plain(want) {
		if line == "..." {
			pattern.WriteString(`(.*\n)*`)
			continue
		}
		parts := dots.Split(line, -1)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern.WriteString(strings.Join(parts, ".*") + `\n`)
	}
	text := ""
	for _, line := range plain(strings.Split(got, "\n")) {
		text += line + "\n"
	}
	return regexp.MustCompile(`^(?:` + pattern.String() + `)$`).MatchString(text)
}

// unseen is the first line of the document that the output does not have in its place.
func unseen(want []string, got string) string {
	for i, line := range want {
		if line != interrupt && !matches(append(slices.Clone(want[:i+1]), "..."), got) {
			return line
		}
	}
	return "nothing; the output goes on"
}

var word = regexp.MustCompile(`[A-Za-z]{3,}`)

// proves counts the different words of the output that are compared: output of dots and
// examples alone would prove nothing.
func (t transcript) proves() int {
	words := map[string]bool{}
	for _, line := range plain(t.output) {
		for _, w := range word.FindAllString(strings.ReplaceAll(line, "EXAMPLE", ""), -1) {
			words[w] = true
		}
	}
	return len(words)
}

// rewritten is the document with other output of some transcripts.
func rewritten(text string, list []transcript, outputs map[int][]string) string {
	lines := strings.Split(text, "\n")
	for i, t := range slices.Backward(list) {
		if output, is := outputs[i]; is {
			lines = slices.Replace(lines, t.from, t.from+len(t.output), output...)
		}
	}
	return strings.Join(lines, "\n")
}

func TestTranscriptsAreRead(t *testing.T) {
	const document = "# Title\n\n" + console + "\n$ one --a\nx\n\ny\n$ two\nz\n^C\n" + fence + "\n\ntext `nats three`\n"
	list, err := readTranscripts(document)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(list); got != "[{one --a [x  y] 4} {two [z ^C] 8}]" {
		t.Errorf("got %s", got)
	}
	if list[0].runsOn() || !list[1].runsOn() {
		t.Error("who runs on?")
	}
	if got := rewritten(document, list, map[int][]string{0: {"new", "lines", "here", "are"}, 1: nil}); got !=
		"# Title\n\n"+console+"\n$ one --a\nnew\nlines\nhere\nare\n$ two\n"+fence+"\n\ntext `nats three`\n" {
		t.Errorf("rewritten:\n%s", got)
	}
	for _, bad := range []string{
		"    nats stream ls", "```sh\ntrireme status\n```", "```\n$ x\n```", console + "\nx\n```", "$ nats x", console + "\n$ x",
		console + "\n$ x\n```\n" + console + "\ny\n```",
	} {
		if list, err := readTranscripts(bad); err == nil {
			t.Errorf("%q gives %v", bad, list)
		}
	}
}

func TestOutputIsCompared(t *testing.T) {
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"a b", "a   b \n\n", true},
		{"a b", "a c", false},
		{"a", "a\nb", false},
		{"a\n...", "a\nb\nc", true},
		{"a\n...", "a", true},
		{"a\n...\nc", "a\nb", false},
		{"a ... d", "a b c d", true},
		{"a ... d", "a b c e", false},
		{"│ 4.5 KiB │ 3s │", "│ 17 B   │ 1m2.5s │", true},
		{"│ 4.5 KiB │ 3s │", "│ 17    │ 1m2.5s │", false},
		{"╭──╮", "╭─────╮", true},
		{"│ h1... │ ... │", "│ h1 │     │", true},
		{"│ h1... │ ... │", "│ h2 │     │", false},
		{"at 2026-01-02 03:04:05", "at 2027-11-22 23:59:59", true},
		{"up 5.3s (1m45s ago)", "up 16ms (214µs ago)", true},
		{"stripe s1, host h1, head 2", "stripe s2, host h1, head 2", false},
		{"1-3", "1-4", false},
		{"digest 3317b051f3c1", "digest 0317b051f3c2", true},
		{"id Vue2i1l5pzSwg8uISuuG5a.", "id 9zeXs259oefHj133qVSoUB.", true},
		{"a.c", "abc", false},
		{"(x", "(x", true},
	} {
		if same := matches(strings.Split(c.want, "\n"), c.got); same != c.same {
			t.Errorf("%q and %q: %v", c.want, c.got, same)
		}
	}
	if got := unseen([]string{"a", "...", "c 3s", "d", interrupt}, "a\nb\nc 4s\n"); got != "d" {
		t.Errorf("the first line that is missing: %q", got)
	}
	if got := unseen([]string{"a", interrupt}, "a\nb\n"); got != "nothing; the output goes on" {
		t.Errorf("no line is missing: %q", got)
	}
	if n := (transcript{output: []string{"...", "3s 4.5 KiB │ 1-2", "2026-01-02 03:04:05"}}).proves(); n != 0 {
		t.Errorf("dots and examples prove %d words", n)
	}
}

// document reads a page of the documentation.
func document(t *testing.T, path string) (string, []transcript) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := readTranscripts(string(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(text), list
}
