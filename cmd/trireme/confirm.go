package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// confirmed asks whoever sits at the terminal. Where nobody does, the answer is no.
func (a *app) confirmed(question string) bool {
	if a.output == asJSON || !readsTerminal(a.in) || !terminal(a.err) {
		return false
	}
	fmt.Fprintf(a.err, "%s? [y/N] ", question)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil {
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// readsTerminal tells whether a person may be typing.
func readsTerminal(r any) bool {
	w, ok := r.(*os.File)
	return ok && terminal(w)
}
