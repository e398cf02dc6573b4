// Package rules holds the rules of the source tree as tests: which package may
// import which, and what none of them may do.
package rules

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// within tells whether an import path is tree or lies under it.
func within(imported, tree string) bool {
	return imported == tree || strings.HasPrefix(imported, tree+"/")
}

// A rule says what the packages under some trees must not import, directly and
// outside their tests.
type rule struct {
	of     []string
	but    []string // of those, not these
	never  []string
	except []string
	why    string
}

func ours(names ...string) []string {
	for i, name := range names {
		names[i] = module + "/" + name
	}
	return names
}

const (
	client = "github.com/nats-io/nats.go"
	server = "github.com/nats-io/nats-server/v2"
	pebble = "github.com/cockroachdb/pebble/v2"
)

func rules() []rule {
	pure := ours("internal/contract", "internal/layout", "internal/merge", "internal/record", "internal/position", "internal/digest", "internal/document", "internal/members", "repair/plan", "repair/verify")
	return []rule{
		{
			of:     pure,
			never:  []string{"context", "crypto/rand", "io", "log", "math/rand", "net", "os", "path/filepath", "runtime", "sync", "syscall", "time", "github.com/nats-io", pebble},
			except: []string{"net/netip", "net/url"},
			why:    "it decides, and leaves clock, disk and network to others",
		},
		{of: pure, never: []string{module}, except: pure, why: "what is pure rests on what is pure"},
		{of: ours("internal"), but: ours("internal/host"), never: []string{module}, except: ours("internal"), why: "internal packages lean on nothing above them"},
		{of: ours("embedded"), never: ours("streams", "buckets", "repair", "adapter", "ops", "cmd"), why: "the server in process knows nothing of what runs on it"},
		{of: ours("streams"), never: ours("buckets", "repair", "adapter", "ops", "cmd"), why: "a log knows nothing of documents"},
		{of: ours("buckets"), never: append(ours("embedded", "streams", "repair", "adapter", "ops", "cmd"), client, server), why: "the document store knows nothing of NATS"},
		{of: ours("repair", "adapter"), never: ours("ops"), why: "what is observed does not know its observer"},
		{of: []string{module}, but: ours("cmd", "integration"), never: ours("cmd", "integration", "internal/host"), why: "only programs and the heavy tests rest on a whole host"},
	}
}

func (r *rule) forbids(imported string) bool {
	in := func(tree string) bool { return within(imported, tree) }
	return slices.ContainsFunc(r.never, in) && !slices.ContainsFunc(r.except, in)
}

func (r *rule) applies(s *source) bool {
	in := func(tree string) bool { return within(s.pkg, tree) }
	return !s.isTest && slices.ContainsFunc(r.of, in) && !slices.ContainsFunc(r.but, in)
}

func checkImports(all []source) (faults []string) {
	for _, r := range rules() {
		for _, s := range all {
			for imported := range s.imports {
				if r.applies(&s) && r.forbids(imported) {
					faults = append(faults, fmt.Sprintf("%s imports %s: %s", s.path, imported, r.why))
				}
			}
		}
	}
	return faults
}

// Only exported API and the wire are used of anything.
func checkUnsafe(all []source) (faults []string) {
	for _, s := range all {
		for _, imported := range []string{"unsafe", "C", "plugin"} {
			if _, found := s.imports[imported]; found {
				faults = append(faults, fmt.Sprintf("%s imports %s", s.path, imported))
			}
		}
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//go:linkname") {
					faults = append(faults, s.path+" uses go:linkname")
				}
			}
		}
	}
	return faults
}

var docStart = regexp.MustCompile(`^(Package|Command) `)

// A package has its tutorial in one place.
func checkPackageDocs(all []source) (faults []string) {
	docs := map[string][]string{}
	for _, s := range all {
		name := s.file.Name.Name
		if strings.HasSuffix(name, "_test") {
			continue // an external test package needs none
		}
		if docs[s.pkg] == nil {
			docs[s.pkg] = []string{}
		}
		if doc := s.file.Doc.Text(); docStart.MatchString(doc) {
			docs[s.pkg] = append(docs[s.pkg], s.path)
		} else if doc != "" {
			faults = append(faults, fmt.Sprintf("%s: the comment at its package clause does not begin with Package %s", s.path, name))
		}
	}
	for pkg, files := range docs {
		if len(files) != 1 {
			faults = append(faults, fmt.Sprintf("%s has its package doc in %d files, want 1: %v", pkg, len(files), files))
		}
	}
	return faults
}

// A test waits for a named state with a deadline; it does not guess how long.
func checkSleeps(all []source) (faults []string) {
	for _, s := range all {
		local, imported := s.imports["time"]
		if !s.isTest || !imported {
			continue
		}
		if local == "" {
			local = "time"
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
					faults = append(faults, s.path+" sleeps")
				}
			}
			return true
		})
	}
	return faults
}

func TestTheTreeKeepsTheRules(t *testing.T) {
	all := sources(t)
	for _, check := range []func([]source) []string{checkImports, checkUnsafe, checkPackageDocs, checkSleeps} {
		for _, fault := range slices.Sorted(slices.Values(check(all))) {
			t.Error(fault)
		}
	}
}

// sleeper is a source that sleeps, under the name that it gives to package time.
func sleeper(as string) string {
	return "package embedded\nimport " + as + " \"time\"\nfunc f() { " + as + ".Sleep(1) }"
}

// Each rule can fail.
func TestTheRulesFindWhatBreaksThem(t *testing.T) {
	for _, c := range []struct {
		check      func([]source) []string
		path, text string
		want       string // part of the one fault, or "" for none
	}{
		{checkImports, "internal/merge/x.go", "package merge\nimport \"time\"", "internal/merge/x.go imports time"},
		{checkImports, "internal/merge/x_test.go", "package merge\nimport \"time\"", ""},
		{checkImports, "internal/layout/x.go", "package layout\nimport \"net/netip\"", ""},
		{checkImports, "internal/layout/x.go", "package layout\nimport \"net/http\"", "imports net/http"},
		{checkImports, "internal/record/x.go", "package record\nimport \"trireme/internal/position\"", ""},
		{checkImports, "repair/plan/x.go", "package plan\nimport \"trireme/buckets\"", "rests on what is pure"},
		{checkImports, "repair/verify/x.go", "package verify\nimport \"trireme/repair\"", "rests on what is pure"},
		{checkImports, "repair/verify/x.go", "package verify\nimport \"trireme/repair/plan\"", ""},
		{checkImports, "streams/x.go", "package streams\nimport \"trireme/buckets\"", "knows nothing of documents"},
		{checkImports, "streams/sub/x.go", "package sub\nimport \"trireme/buckets/sub\"", "knows nothing of documents"},
		{checkImports, "streams/x.go", "package streams\nimport \"trireme/bucketsize\"", ""},
		{checkImports, "buckets/x.go", "package buckets\nimport \"trireme/streams\"", "knows nothing of NATS"},
		{checkImports, "buckets/x.go", "package buckets\nimport \"github.com/nats-io/nats.go/jetstream\"", "knows nothing of NATS"},
		{checkImports, "buckets/x.go", "package buckets\nimport \"github.com/nats-io/nats-server/v2/server\"", "knows nothing of NATS"},
		{checkImports, "embedded/x.go", "package embedded\nimport \"trireme/streams\"", "knows nothing of what runs on it"},
		{checkImports, "internal/testsum/x.go", "package main\nimport \"trireme/adapter\"", "lean on nothing above"},
		{checkImports, "adapter/x.go", "package adapter\nimport \"trireme/cmd/trireme/x\"", "rest on a whole host"},
		{checkImports, "ops/x.go", "package ops\nimport \"trireme/internal/host\"", "rest on a whole host"},
		{checkImports, "internal/host/x.go", "package host\nimport \"trireme/adapter\"", ""},
		{checkImports, "cmd/trireme/x.go", "package main\nimport \"trireme/adapter\"", ""},
		{checkUnsafe, "embedded/x.go", "package embedded\nimport \"unsafe\"", "imports unsafe"},
		{checkUnsafe, "embedded/x.go", "package embedded\n\n//go:linkname a b\nfunc a()", "go:linkname"},
		{checkUnsafe, "embedded/x.go", "// Package embedded needs no unsafe.\npackage embedded", ""},
		{checkPackageDocs, "embedded/x.go", "package embedded", "in 0 files"},
		{checkPackageDocs, "embedded/x.go", "// Package embedded is.\npackage embedded", ""},
		{checkPackageDocs, "embedded/x_test.go", "package embedded_test", ""},
		{checkSleeps, "embedded/x_test.go", sleeper("time"), "sleeps"},
		{checkSleeps, "embedded/x_test.go", sleeper("clock"), "sleeps"},
		{checkSleeps, "embedded/x.go", sleeper("time"), ""},
	} {
		faults := c.check([]source{parse(t, c.path, c.text)})
		switch {
		case c.want == "" && len(faults) > 0:
			t.Errorf("%s %q: found %q, where there is nothing", c.path, c.text, faults)
		case c.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.want)):
			t.Errorf("%s %q: found %q, want one fault with %q", c.path, c.text, faults, c.want)
		}
	}
	doc := parse(t, "embedded/x.go", "// Package embedded is.\npackage embedded")
	again := parse(t, "embedded/y.go", "// Package embedded is, too.\npackage embedded")
	if faults := checkPackageDocs([]source{doc, again}); len(faults) != 1 || !strings.Contains(faults[0], "in 2 files") {
		t.Errorf("two package docs: found %q", faults)
	}
}
