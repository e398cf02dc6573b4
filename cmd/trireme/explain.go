package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trireme/internal/contract"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain [CODE]", Short: "Say what a code means and what to do about it",
		Long:    "Say what a code means, whether the request took effect, and what the caller should do.\nCODE is a number or a name; without one, all are listed. It needs no host.",
		Example: "  trireme explain 621580\n  trireme explain outcome-unknown\n  trireme explain -o json",
		Args:    arguments("[CODE]"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, x := range contract.Codes() {
				names = append(names, cobra.CompletionWithDesc(strconv.Itoa(int(x.Code)), x.Name), x.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.answer(contract.Codes(), listCodes)
			}
			for _, x := range contract.Codes() {
				if args[0] == x.Name || args[0] == strconv.Itoa(int(x.Code)) {
					return a.answer(x, func(w io.Writer) { explainCode(w, x) })
				}
			}
			return hint(&failure{exit: exitFailed, err: fmt.Errorf("code %q is unknown", args[0])}, "`trireme explain` lists every code")
		},
	}
}

func listCodes(w io.Writer) {
	lines := [][]string{{"CODE", "NAME", "HAPPENED", "MEANING"}}
	for _, x := range contract.Codes() {
		lines = append(lines, []string{strconv.Itoa(int(x.Code)), x.Name, x.Happened, x.Meaning})
	}
	rows(w, lines)
}

func explainCode(w io.Writer, x contract.Explanation) {
	fmt.Fprintf(w, "%d %s\n\n", x.Code, x.Name)
	rows(w, [][]string{
		{"meaning", sentence(x.Meaning)},
		{"happened?", sentence(x.Happened)},
		{"caller", sentence(x.Caller)},
	})
}

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
