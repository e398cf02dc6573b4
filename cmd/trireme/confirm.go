package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// confirmed asks whoever sits at the terminal. Where nobody does, the answer is no.
func (a *app) confirmed(question string) bool {
	in, ok := a.in.(*os.File)
	if !ok || !terminal(in) || !terminal(a.err) || a.output == asJSON {
		return false
	}
	fmt.Fprintf(a.err, "%s? [y/N] ", question)
	return agreed(in)
}

// agreed reads an answer: a line that is y or yes.
func agreed(in io.Reader) bool {
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}
