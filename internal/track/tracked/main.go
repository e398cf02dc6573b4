// Command tracked prints what fault drills have recorded, and writes it into a document:
//
//	tracked [-o json] [-doc docs/track-record.md] RECORD
//
// RECORD has a line of JSON for each run of a fault. In the document, the table between
// the marks is replaced. The exit status is 1 when a run has failed.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"trireme/internal/track"
)

// The marks between which the table of the document lies.
const (
	beginMark = "<!-- the table begins -->\n"
	endMark   = "<!-- the table ends -->\n"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("tracked", flag.ContinueOnError)
	flags.SetOutput(stderr)
	form := flags.String("o", "table", "`form` of what is printed: table or json")
	doc := flags.String("doc", "", "a `document` whose table is written anew")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() != 1 || *form != "table" && *form != "json" {
		fmt.Fprintln(stderr, "usage: tracked [-o table|json] [-doc DOCUMENT] RECORD")
		return 2
	}
	runs, err := track.Read(flags.Arg(0))
	sums := track.Sums(runs)
	if err == nil {
		err = printed(stdout, sums, *form)
	}
	if err == nil && *doc != "" {
		err = written(*doc, sums)
	}
	if err != nil {
		fmt.Fprintln(stderr, "tracked:", err)
		return 1
	}
	for i := range sums {
		if sums[i].Failures > 0 {
			return 1
		}
	}
	return 0
}

func printed(w io.Writer, sums []track.Sum, form string) error {
	if form == "table" {
		return track.Table(w, sums)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(sums)
}

// written replaces the table of a document.
func written(path string, sums []track.Sum) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(text, []byte(beginMark))
	_, after, ends := bytes.Cut(rest, []byte(endMark))
	if !begins || !ends {
		return errors.New(path + " has no marks for the table: " + beginMark + endMark)
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(beginMark)
	if err := track.Markdown(&b, sums); err != nil {
		return err
	}
	b.WriteString(endMark)
	b.Write(after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}
