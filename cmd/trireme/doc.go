package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"trireme/adapter"
)

const docLong = `Read and change documents.

A document is an ordered log of changes, each with a range of seqs, perhaps on
top of a snapshot. What it holds is the fold of its changes: JSON merge patches
in which nulls stay.`

func (a *app) docCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "doc", Short: "Read and change documents", Long: docLong,
		Example: `  trireme doc put game chess '{"turn":"white"}'
  trireme doc patch game chess '{"turn":"black"}' --undo '{"turn":"white"}'
  trireme doc get game chess
  trireme doc history game chess
  trireme doc delete game chess --yes
  trireme doc explain game chess`,
		Args: cobra.ArbitraryArgs, RunE: group,
	}
	c.AddCommand(a.getCommand(), a.historyCommand(), a.putCommand(), a.patchCommand(), a.deleteCommand(), a.docExplainCommand())
	return c
}

// An author is whom an update is written for.
type author struct{ agent, authority string }

func (w *author) flags(c *cobra.Command) {
	c.Flags().StringVar(&w.agent, "agent", "", "the `name` that the change is written for; nobody's when it is not given")
	c.Flags().StringVar(&w.authority, "authority", "", "who vouches for the agent")
}

func (w *author) who() (*adapter.Who, error) {
	if w.agent == "" && w.authority != "" {
		return nil, usage("--authority without --agent: say for whom")
	}
	if w.agent == "" {
		return nil, nil
	}
	return &adapter.Who{Agent: w.agent, Authority: w.authority}, nil
}

// A change is the flags that put and patch share.
type change struct {
	author
	request string
	undo    string
	opaque  bool
	id      string
}

func (f *change) flags(c *cobra.Command) {
	f.author.flags(c)
	c.Flags().StringVar(&f.request, "request", "{}", "the `text` of the request that the change answers; never parsed")
	c.Flags().StringVar(&f.undo, "undo", "{}", "the `JSON` that takes the change back")
	c.Flags().BoolVar(&f.opaque, "opaque", false, "store texts that are not JSON too; they cannot be merged")
	c.Flags().StringVar(&f.id, "request-id", "", "the request `id`, to repeat a command whose outcome is unknown; a new one when it is not given")
}

// update makes the update from the flags and the JSON argument, - for stdin.
func (a *app) update(f *change, argument string, begin, end int32) (adapter.Update, error) {
	text, err := a.text(argument)
	if err != nil {
		return adapter.Update{}, err
	}
	for name, value := range map[string]string{"the document text": text, "--undo": f.undo} {
		if !f.opaque && !json.Valid([]byte(value)) {
			return adapter.Update{}, hint(usage("%s is not JSON: %s", name, oneLine(value, 60)), "quote it for the shell, as in '{\"n\":1}'; --opaque stores it as it is")
		}
	}
	who, err := f.who()
	if err != nil {
		return adapter.Update{}, err
	}
	return adapter.Update{
		SeqBegin: begin, SeqEnd: end, Who: who, Request: f.request, Redo: text, Undo: f.undo,
		UpdateType: adapter.AddUserData,
	}, nil
}

// text is an argument, or all of stdin for "-".
func (a *app) text(argument string) (string, error) {
	if argument != "-" {
		return argument, nil
	}
	data, err := io.ReadAll(a.in)
	if err != nil {
		return "", fmt.Errorf("read stdin: %w", err)
	}
	return string(data), nil
}

func (f *change) options() (options []adapter.WriteOption) {
	if f.id != "" {
		options = append(options, adapter.WithRequestID(f.id))
	}
	return options
}
