// Package conffile reads files in NATS' own configuration syntax into Go values.
//
// A [Decoder] says where each key goes, and gathers every fault with file and line:
//
//	values, err := conffile.Parse("trireme.conf", text)
//	d := conffile.NewDecoder("trireme.conf")
//	d.Block("", values, map[string]conffile.Field{
//		"host": d.Text(&c.Host),
//		"log":  d.Nested(map[string]conffile.Field{"max_bytes": d.Number(&c.Log.MaxBytes)}),
//	})
//	err = d.Err()
//
// A key that has no field is a fault, unless it is a variable that the file uses.
package conffile

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nats-server/v2/conf"
)

// Parse reads a text into the values that a [Decoder] takes. Errors begin with the
// name and, where it is known, the line.
//
// The syntax has includes and variables from the environment: a caller that does not
// want them refuses them before.
func Parse(name string, text []byte) (values map[string]any, err error) {
	defer recovered(name, &err)
	values, err = conf.ParseWithChecks(string(text))
	if err != nil {
		return nil, placed(name, err)
	}
	return values, nil
}

// ParseFile reads a file, and what it includes, into the values that a [Decoder]
// takes. The digest is of the values.
func ParseFile(path string) (values map[string]any, digest string, err error) {
	defer recovered(path, &err)
	values, digest, err = conf.ParseFileWithChecksDigest(path)
	if err != nil {
		return nil, "", fmt.Errorf("configuration %s: %w", path, err)
	}
	return values, digest, nil
}

// recovered turns a panic into an error: the parser meets some malformed texts with one.
func recovered(name string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: the parser gives up on it: %v", name, p)
	}
}

// The parser tells lines in two ways.
var (
	onLine  = regexp.MustCompile(`^Parse error on line (\d+): '(.*)'$`)
	inPlace = regexp.MustCompile(`^(.*) \(:(\d+):\d+\)$`)
)

// placed puts the line where every other fault has it.
func placed(name string, err error) error {
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	if m := onLine.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: %s", name, m[1], m[2])
	}
	if m := inPlace.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:%s: %s", name, m[2], m[1])
	}
	return fmt.Errorf("%s: %s", name, text)
}
