package main

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
)

// app is one run of the program.
type app struct {
	in       io.Reader
	out, err io.Writer

	server  string // as given; target says where it is
	reach   reach
	output  string
	timeout time.Duration
}

const rootLong = `Trireme keeps every Adama document on three hosts.

  trireme serve                          run a host; data in ./trireme-data
  trireme doc put game chess '{"n":1}'   make a document
  trireme doc patch game chess '{"n":2}' change it
  trireme doc get game chess             read it
  trireme status                         what state the hosts are in
  trireme verify                         are all copies identical now?

Commands other than serve find a host by --server, else by NATS_URL, else by the
context that "nats context select" has selected, else at ` + nats.DefaultURL + `.
Answers go to stdout, everything else to stderr.`

// root is the command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "trireme", Short: "Adama's documents on three hosts", Long: rootLong,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.ArbitraryArgs, RunE: group,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.check() },
	}
	wanted := a.output // also for what is wrong with the flags
	flags := root.PersistentFlags()
	flags.StringVarP(&a.server, "server", "s", "", "NATS `URL` of a host, or several with commas; else NATS_URL, else that of the context, else "+nats.DefaultURL)
	a.reach.register(flags)
	flags.StringVarP(&a.output, "output", "o", table, "how to write the answer: table or json")
	flags.DurationVar(&a.timeout, "timeout", 25*time.Second, "how long to wait for an answer; the host holds a request for up to 20s")
	a.output = wanted
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })

	const run, documents, mend, look = "run", "documents", "repair", "look"
	root.AddGroup(&cobra.Group{ID: run, Title: "Run a host:"}, &cobra.Group{ID: documents, Title: "Documents:"}, &cobra.Group{ID: mend, Title: "Keep the copies equal:"}, &cobra.Group{ID: look, Title: "Look and measure:"})
	add := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
		}
		root.AddCommand(commands...)
	}
	add(run, a.serveCommand(), a.drainCommand(), a.hostCommand(), a.signalCommand(), a.healthcheckCommand())
	add(documents, a.docCommand(), a.locateCommand())
	add(mend, a.verifyCommand(), a.repairCommand(), a.scrubCommand(), a.stripeCommand())
	add(look, a.statusCommand(), a.ownerCommand(), a.benchCommand(), a.explainCommand(), a.versionCommand())
	add(run, a.layoutCommand(), a.demoCommand(), a.zombieCommand())
	root.AddCommand(exitCodesTopic())
	return root
}

// group is what a command does that only has others below it.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	err := usage("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2 // letters that differ
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return hint(err, "did you mean %s?", strings.Join(near, " or "))
	}
	return err
}

func (a *app) check() error {
	if !slices.Contains([]string{table, asJSON}, a.output) {
		bad := a.output
		a.output = table
		return usage("--output %q: want %s or %s", bad, table, asJSON)
	}
	if a.timeout <= 0 {
		return usage("--timeout %v: want more than 0", a.timeout)
	}
	return nil
}

// arguments wants one argument for each name. A name in brackets may be left out.
func arguments(names ...string) cobra.PositionalArgs {
	least := 0
	for _, name := range names {
		if !strings.HasPrefix(name, "[") {
			least++
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("%s: %s is missing", cmd.CommandPath(), names[len(args)])
		case len(args) > len(names):
			return usage("%s: argument %q is one too many: want %s", cmd.CommandPath(), args[len(names)], strings.Join(names, " "))
		}
		return nil
	}
}
