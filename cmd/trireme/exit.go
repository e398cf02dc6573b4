package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// An exitCode is what the program ends with. docs/cli.md promises them.
type exitCode int

const (
	exitOK          exitCode = 0
	exitFailed      exitCode = 1
	exitUsage       exitCode = 2
	exitDegraded    exitCode = 3
	exitUnreachable exitCode = 4
	exitRefused     exitCode = 5
	exitDiffers     exitCode = 6
	exitIncomplete  exitCode = 7
	exitInterrupted exitCode = 130
)

type exitMeaning struct {
	code exitCode
	name string
	says string
}

func exitMeanings() []exitMeaning {
	return []exitMeaning{
		{exitOK, "ok", "it is done"},
		{exitFailed, "failed", "it failed, or nobody knows whether it is done (1500004)"},
		{exitUsage, "usage", "the command line is wrong; nothing was sent"},
		{exitDegraded, "degraded", "the answer is bad news: a host that is not ready, in a critical condition or out of reach, a stripe without an owner, a layout that is invalid or would not be taken, a document that differs between members, something that repair could not do, a drill or demo that failed, a bench with errors"},
		{exitUnreachable, "unreachable", "no host answers, or none that can"},
		{exitRefused, "refused", "the host refused with a code, and nothing changed; or --yes is missing"},
		{exitDiffers, "differs", "verify: members keep different documents, or damaged ones"},
		{exitIncomplete, "incomplete", "verify: nothing is known to differ, and not every member could be compared"},
		{exitInterrupted, "interrupted", "a signal ended it"},
	}
}

func (c exitCode) name() string {
	for _, m := range exitMeanings() {
		if m.code == c {
			return m.name
		}
	}
	return fmt.Sprint(int(c))
}

// exitCodesTopic is `trireme help exit-codes`.
func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("The exit codes of trireme. Scripts may rely on them.\n\n")
	lines := [][]string{}
	for _, m := range exitMeanings() {
		lines = append(lines, []string{fmt.Sprintf("  %d", int(m.code)), m.name, m.says})
	}
	rows(&b, lines)
	b.WriteString("\nThe codes that a host refuses with are another matter: see `trireme explain`.")
	return &cobra.Command{Use: "exit-codes", Short: "what the exit codes mean", Long: b.String()}
}
