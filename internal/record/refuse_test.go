package record

import (
	"strings"
	"testing"
)

const (
	zeroChain = "00000000000000000000000000000000"
	claimLine = "CLAIM 1 0 " + zeroChain + " h b 0\r\n"
	release   = "RELEASE 1 1-3 0 " + zeroChain + " 1-2\r\n"
	header    = "BATCH 1 1-1 0 " + zeroChain + " "
	update    = "+ 1 1 Internal - - 0 0 0 0 2 2\r\n\r\n{}\r\n{}\r\n"
)

// batchOf frames one change, whatever it says, in a header that fits it.
func batchOf(frame string) string {
	return header + "1 " + string(appendInt(nil, int64(len(frame)))) + "\r\n" + frame
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"nothing", "", "does not end"},
		{"half a header", claimLine[:20], "does not end"},
		{"no carriage return", strings.ReplaceAll(claimLine, "\r", ""), "does not end"},
		{"another verb", strings.Replace(claimLine, "CLAIM", "CLAMS", 1), "want BATCH, CLAIM or RELEASE"},
		{"a later version", strings.Replace(claimLine, " 1 ", " 2 ", 1), "upgrade"},
		{"no version", "CLAIM\r\n", "version"},
		{"bytes after a claim", claimLine + "x", "left over"},
		{"a word too many", strings.Replace(claimLine, "\r\n", " x\r\n", 1), "unexpected words"},
		{"a word too few", "CLAIM 1 0 " + zeroChain + " h b\r\n", "layout is missing"},
		{"two blanks", strings.Replace(claimLine, " h ", "  h ", 1), "host"},
		{"a blank at the end", strings.Replace(claimLine, "\r\n", " \r\n", 1), "unexpected words"},
		{"a negative layout", strings.Replace(claimLine, "b 0", "b -1", 1), "out of range"},
		{"a leading zero", strings.Replace(claimLine, "b 0", "b 00", 1), "not a number"},
		{"a plus sign", strings.Replace(claimLine, "b 0", "b +1", 1), "not a number"},
		{"minus zero", strings.Replace(claimLine, "1 0 ", "1 -0 ", 1), "not a number"},
		{"an upper-case chain", strings.Replace(claimLine, "000 h", "0AB h", 1), "prev"},
		{"an epoch without birth", strings.Replace(header, "1-1", "11", 1) + "0 0\r\n", "epoch"},
		{"an epoch beyond any stream", strings.Replace(header, "1-1", "1-9223372036854775808", 1) + "0 0\r\n", "epoch"},
		{"bytes after a release", release + "x", "release: 1 bytes are left over"},
		{"a release of nothing", strings.Replace(release, "1-2", "0-0", 1), "horizon"},
		{"a release without a horizon", strings.Replace(release, " 1-2", "", 1), "horizon is missing"},
		{"a release with two", strings.Replace(release, "1-2", "1-2 1-2", 1), "unexpected words"},
		{"a horizon that is no position", strings.Replace(release, "1-2", "12", 1), "horizon"},
		{"a horizon with a leading zero", strings.Replace(release, "1-2", "1-02", 1), "horizon"},
		{"a horizon beyond any stream", strings.Replace(release, "1-2", "1-9223372036854775808", 1), "horizon"},
		{"a release without an epoch", strings.Replace(release, " 1-3", "", 1), "epoch"},
		{"fewer bytes than announced", header + "0 1\r\n", "1 bytes of changes, 0 follow"},
		{"more bytes than announced", header + "0 0\r\nx", "0 bytes of changes, 1 follow"},
		{"more changes than announced", header + "0 21\r\nDELETE s k - - mark\r\n", "left over"},
		{"fewer changes than announced", header + "2 21\r\nDELETE s k - - mark\r\n", "change 2 of 2"},
		{"a count beyond all bytes", header + "1000000 0\r\n", "out of range"},
		{"a verb of tomorrow", batchOf("RENAME s k - -\r\n"), `"RENAME" is unknown`},
		{"a verb in lower case", batchOf("delete s k - - mark\r\n"), "is unknown"},
		{"a phase of tomorrow", batchOf("DELETE s k - - maybe\r\n"), "phase"},
		{"an escape not needed", batchOf("DELETE %61 k - - mark\r\n"), "space"},
		{"a lower-case escape", batchOf("DELETE a%0a k - - mark\r\n"), "space"},
		{"half an escape", batchOf("DELETE a%0 k - - mark\r\n"), "space"},
		{"a bare absent space", batchOf("DELETE - k - - mark\r\n"), "space"},
		{"a dash escaped inside a word", batchOf("DELETE a%2D k - - mark\r\n"), "space"},
		{"an empty word", batchOf("DELETE  k - - mark\r\n"), "space"},
		{"a tab in a word", batchOf("DELETE a\tb k - - mark\r\n"), "space"},
		{"a tab in an escaped word", batchOf("DELETE a\tb%20 k - - mark\r\n"), "space"},
		{"an empty id", batchOf("DELETE s k % - mark\r\n"), "id is empty"},
		{"half of nobody", batchOf("RECOVER s k - - 1 - x 2\r\n{}\r\n"), "agent"},
		{"a zero incarnation in figures", batchOf("PATCH s k - - 0-0 1 42\r\n" + update), "incarnation"},
		{"an init of nothing", batchOf("INIT s k - - 0 0\r\n"), "0 updates"},
		{"an init of two", batchOf("INIT s k - - 2 84\r\n" + update + update), "2 updates"},
		{"a patch of nothing", batchOf("PATCH s k - - - 0 0\r\n"), "0 updates"},
		{"updates shorter than announced", batchOf("PATCH s k - - - 1 43\r\n" + update), "43 bytes of updates announced"},
		{"updates longer than announced", batchOf("PATCH s k - - - 1 41\r\n" + update), "41 bytes of updates announced"},
		{"an update without its mark", batchOf("PATCH s k - - - 1 42\r\n" + strings.Replace(update, "+", "-", 1)), "begins with +"},
		{"a seq of 33 bits", batchOf("SNAPSHOT s k - - - 2147483648 1 0 2\r\n{}\r\n"), "seq"},
		{"a negative size", batchOf("SNAPSHOT s k - - - 1 1 0 -2\r\n{}\r\n"), "out of range"},
		{"a size of 33 bits", batchOf("SNAPSHOT s k - - - 1 1 0 4294967298\r\n{}\r\n"), "out of range"},
		{"a size that is off by one", batchOf("SNAPSHOT s k - - - 1 1 0 3\r\n{}\r\n"), "does not end where it should"},
		{"a text that is cut", batchOf("SNAPSHOT s k - - - 1 1 0 2\r\n{}\r"), "does not end where it should"},
		{"rfi that is neither", batchOf("PATCH s k - - - 1 42\r\n" + strings.Replace(update, "- - 0", "- - 2", 1)), "rfi"},
	} {
		r, err := Parse([]byte(c.body))
		if err == nil {
			t.Errorf("%s: %q reads as %+v", c.name, c.body, r)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q, want it to say %q", c.name, err, c.want)
		}
	}
}

// The lines that the table above breaks are right as they stand.
func TestParseTakesWhatTheRefusalsBreak(t *testing.T) {
	for _, body := range []string{
		claimLine,
		release,
		header + "0 0\r\n",
		batchOf("DELETE s k - - mark\r\n"),
		batchOf("INIT s k - - 1 42\r\n" + update),
		batchOf("PATCH s k - - - 2 84\r\n" + update + update),
		batchOf("SNAPSHOT s k - - - 1 1 0 2\r\n{}\r\n"),
		batchOf("RECOVER s k - - 1 - - 2\r\n{}\r\n"),
	} {
		if _, err := Parse([]byte(body)); err != nil {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// A record cut anywhere is refused, whatever it holds.
func TestParseRefusesEveryCut(t *testing.T) {
	for _, s := range samples() {
		body := encode(&s.record)
		for n := range body {
			if _, err := Parse(body[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes are taken", s.name, n, len(body))
			}
		}
	}
}

func TestParseUpdateRefuses(t *testing.T) {
	for _, s := range []string{"", "+", update[:len(update)-1], update + "x", update + update, "\r\n" + update} {
		if u, err := ParseUpdate(s); err == nil {
			t.Errorf("%q reads as %+v", s, u)
		}
	}
	if _, err := ParseUpdate(update); err != nil {
		t.Errorf("%q: %v", update, err)
	}
}
