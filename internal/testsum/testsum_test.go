package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// module writes a module with the given files and returns its folder.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module sample\n\ngo 1.26.0\n"
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	passing = "package a\nimport \"testing\"\nfunc TestGood(t *testing.T) { t.Log(\"chatter\"); t.Run(\"sub\", func(*testing.T) {}) }\n"
	skipped = "package a\nimport \"testing\"\nfunc TestLater(t *testing.T) { t.Skip(\"no container engine\") }\n"
	failing = "package b\nimport \"testing\"\nfunc TestBad(t *testing.T) { t.Error(\"one is not two\") }\nfunc TestFine(*testing.T) {}\n"
	panics  = "package c\nimport \"testing\"\nfunc TestPanic(*testing.T) { panic(\"oh\") }\n"
	broken  = "package d\nfunc Broken() { return 1 }\n"
)

func TestClosingLines(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   map[string]string
		args    []string
		status  int
		want    []string // in this order
		without string
	}{
		{
			name: "good", files: map[string]string{"a/a_test.go": passing, "a/b_test.go": skipped, "e/e.go": "package e\n"},
			want:    []string{"ok  \tsample/a", "\nskipped: sample/a TestLater: b_test.go:3: no container engine\n", "\n2 passed, 0 failed, 1 skipped\n"},
			without: "chatter",
		},
		{
			name: "verbose", files: map[string]string{"a/a_test.go": passing}, args: []string{"-v"},
			want: []string{"chatter", "\n2 passed, 0 failed, 0 skipped\n"},
		},
		{
			name: "a failure", files: map[string]string{"b/b_test.go": failing}, status: 1,
			want: []string{"one is not two", "--- FAIL: TestBad", "FAIL\tsample/b", "\n1 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "a panic", files: map[string]string{"c/c_test.go": panics}, status: 1,
			want: []string{"panic: oh", "\n0 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "does not compile", files: map[string]string{"a/a_test.go": passing, "d/d.go": broken, "d/d_test.go": "package d\n"}, status: 1,
			want: []string{"d.go:2", "\n2 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "nothing to run", files: map[string]string{"e/e.go": "package e\n"}, status: 1,
			want: []string{"no test ran\n0 passed, 0 failed, 0 skipped\n"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, problems strings.Builder
			args := append(c.args, "-dir", module(t, c.files), "--", "./...")
			if status := run(args, &out, &problems); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			rest, got := "\n"+out.String(), out.String()
			for _, want := range c.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Errorf("no %q in the rest of:\n%s%s", want, got, problems.String())
					break
				}
				rest = "\n" + after
			}
			if c.without != "" && strings.Contains(got, c.without) {
				t.Errorf("%q in:\n%s", c.without, got)
			}
			if !regexp.MustCompile(`\n?\d+ passed, \d+ failed, \d+ skipped\n$`).MatchString(got) {
				t.Errorf("the last line is no count:\n%s", got)
			}
		})
	}
}

func TestSeveralModulesAddUp(t *testing.T) {
	one, two := module(t, map[string]string{"a_test.go": passing}), module(t, map[string]string{"a_test.go": skipped})
	var out strings.Builder
	if status := run([]string{"-dir", one, "-dir", two, "--", "./..."}, &out, &out); status != 0 {
		t.Errorf("status %d", status)
	}
	if !strings.HasSuffix(out.String(), "\n2 passed, 0 failed, 1 skipped\n") {
		t.Errorf("closes with:\n%s", out.String())
	}
}

func TestBadFlag(t *testing.T) {
	var out strings.Builder
	if status := run([]string{"-nonsense"}, &out, &out); status != 2 {
		t.Errorf("status %d, want 2", status)
	}
}
