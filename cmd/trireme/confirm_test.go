package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestAgreed(t *testing.T) {
	for line, want := range map[string]bool{"y\n": true, " YES \n": true, "n\n": false, "\n": false, "yes": false, "": false, "yess\n": false} {
		if got := agreed(strings.NewReader(line)); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// Only a terminal is asked, and nobody at it has said yes.
func TestConfirmed(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0) // it passes for a terminal
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, a := range map[string]*app{
		"a pipe in":  {in: strings.NewReader("y\n"), err: null, output: table},
		"a pipe out": {in: null, err: new(bytes.Buffer), output: table},
		"a program":  {in: null, err: null, output: asJSON},
		"nobody":     {in: null, err: null, output: table},
	} {
		if a.confirmed("do it") {
			t.Errorf("%s: confirmed", name)
		}
	}
}
