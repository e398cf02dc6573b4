package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// root of the repository, seen from this package.
const root = "../.."

const module = "trireme"

// A source is one Go file of the repository, nested modules included.
type source struct {
	path    string // from the root, with slashes
	pkg     string // import path of its directory
	isTest  bool
	imports map[string]string // import path to local name, "" for its own
	file    *ast.File
}

// sources reads every Go file, whatever its build constraints.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != root && (name == "testdata" || name[0] == '.' || name[0] == '_' || name == "bin"):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ".go"):
			all = append(all, read(t, file))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("%d Go files under %s: this test looks in the wrong place", len(all), root)
	}
	return all
}

func read(t *testing.T, file string) source {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(root, file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, filepath.ToSlash(rel), string(text))
}

func parse(t *testing.T, file, text string) source {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	s := source{path: file, pkg: path.Join(module, path.Dir(file)), isTest: strings.HasSuffix(file, "_test.go"), imports: map[string]string{}, file: tree}
	for _, spec := range tree.Imports {
		name := ""
		if spec.Name != nil {
			name = spec.Name.Name
		}
		s.imports[strings.Trim(spec.Path.Value, `"`)] = name
	}
	return s
}
