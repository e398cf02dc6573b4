package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spf13/cobra"

	"trireme/adapter"
)

// A wroteView is what changed, as -o json tells it.
type wroteView struct {
	Space string `json:"space"`
	Key   string `json:"key"`
	Done  string `json:"done"`          // created, patched, deleted, marked, unmarked
	Seq   *int32 `json:"seq,omitempty"` // the head after it
}

func (a *app) wrote(v *wroteView) error {
	return a.answer(v, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s/%s", v.Done, v.Space, v.Key)
		if v.Seq != nil {
			fmt.Fprintf(w, ", head %d", *v.Seq)
		}
		fmt.Fprintln(w)
	})
}

func (a *app) putCommand() *cobra.Command {
	var f change
	var seq int32
	c := &cobra.Command{
		Use: "put SPACE KEY JSON|-", Short: "Create a document",
		Long: "Create a document with its first content. One that exists is left as it is:\n`doc patch` changes it.",
		Example: `  trireme doc put game chess '{"turn":"white"}'
  trireme doc put game chess - < chess.json`,
		Args: arguments("SPACE", "KEY", "JSON"),
		RunE: func(cmd *cobra.Command, args []string) error {
			u, err := a.update(&f, args[2], 0, seq)
			if err != nil {
				return err
			}
			return a.call(cmd, func(ctx context.Context, client *adapter.Client) error {
				err := client.Initialize(ctx, args[0], args[1], u, f.options()...)
				if errors.Is(err, adapter.ErrExists) {
					return hint(err, "`trireme doc patch` changes it, `trireme doc get` prints it")
				}
				if err != nil {
					return err
				}
				return a.wrote(&wroteView{Space: args[0], Key: args[1], Done: "created", Seq: &seq})
			})
		},
	}
	f.flags(c)
	c.Flags().Int32Var(&seq, "seq", 1, "the `seq` of the first content, the head after it")
	return c
}

// patchTries is how often a patch goes on top of a head that has moved.
const patchTries = 5

func (a *app) patchCommand() *cobra.Command {
	var f change
	var seq int32
	c := &cobra.Command{
		Use: "patch SPACE KEY JSON|-", Short: "Change a document by a JSON merge patch",
		Long: `Append one change to a document: the JSON is merged into it, nulls stay.

It goes on top of the head, which is read first; when another change comes
between, it is tried again. With --seq it goes to this seq or nowhere.
The program cannot know what takes a change back: say it with --undo.`,
		Example: `  trireme doc patch game chess '{"turn":"black"}' --undo '{"turn":"white"}'
  trireme doc patch game chess '{"turn":"black"}' --seq 2    only if the head is 1`,
		Args: arguments("SPACE", "KEY", "JSON"),
		RunE: func(cmd *cobra.Command, args []string) error {
			fixed := cmd.Flags().Changed("seq")
			if f.id != "" && !fixed {
				return hint(usage("--request-id without --seq"), "a request that is repeated must be the same: add the --seq that it had")
			}
			u, err := a.update(&f, args[2], seq, seq)
			if err != nil {
				return err
			}
			return a.call(cmd, func(ctx context.Context, client *adapter.Client) error {
				p := patcher{client: client, space: args[0], key: args[1], update: u}
				if fixed {
					err = client.Patch(ctx, p.space, p.key, []adapter.Update{u}, f.options()...)
				} else {
					err = p.onTop(ctx)
				}
				if err != nil {
					return p.explain(err)
				}
				return a.wrote(&wroteView{Space: p.space, Key: p.key, Done: "patched", Seq: &p.update.SeqEnd})
			})
		},
	}
	f.flags(c)
	c.Flags().Int32Var(&seq, "seq", 0, "the `seq` of the change, the head + 1; read from the document when it is not given")
	return c
}

type patcher struct {
	client     *adapter.Client
	space, key string
	update     adapter.Update
}

// onTop puts the change on top of the head, wherever that is.
func (p *patcher) onTop(ctx context.Context) (err error) {
	for range patchTries {
		seq, incarnation, readErr := head(ctx, p.client, p.space, p.key)
		if readErr != nil {
			return readErr
		}
		if seq == math.MaxInt32 {
			return fmt.Errorf("the head is %d, the last seq there is", seq)
		}
		p.update.SeqBegin, p.update.SeqEnd = seq+1, seq+1
		err = p.client.Patch(ctx, p.space, p.key, []adapter.Update{p.update}, adapter.WithIncarnation(incarnation))
		if !errors.Is(err, adapter.ErrHeadDiffers) || errors.Is(err, adapter.ErrOutcomeUnknown) {
			return err
		}
	}
	return err
}

// explain adds to an error what this command knows of it.
func (p *patcher) explain(err error) error {
	call, ok := errors.AsType[*adapter.CallError](err)
	switch {
	case ok && errors.Is(err, adapter.ErrOutcomeUnknown):
		return hint(err, "repeat the command with --seq %d --request-id %s, within two minutes: it acts once at most", p.update.SeqBegin, call.RequestID)
	case errors.Is(err, adapter.ErrHeadDiffers):
		return hint(err, "`trireme doc history` shows the head; without --seq the change goes on top of it")
	}
	return err
}

func (a *app) deleteCommand() *cobra.Command {
	var yes bool
	var phase, id string
	c := &cobra.Command{
		Use: "delete SPACE KEY", Short: "Delete a document",
		Long: `Delete a document with its history. There is no way back.

Adama deletes in two phases: --phase mark makes the document answer
being-deleted, --phase commit removes it, --phase abort unmarks it.`,
		Example: `  trireme doc delete game chess          say what would be deleted
  trireme doc delete game chess --yes    delete it`,
		Args: arguments("SPACE", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d := deletion{space: args[0], key: args[1], phase: phase}
			if id != "" {
				d.options = append(d.options, adapter.WithRequestID(id))
			}
			if _, ok := deletionDone()[phase]; !ok {
				return usage("--phase %q: want mark, commit or abort", phase)
			}
			return a.call(cmd, func(ctx context.Context, client *adapter.Client) error {
				if !yes && phase != adapter.PhaseAbort {
					return d.plan(ctx, client)
				}
				if err := d.do(ctx, client); err != nil {
					return err
				}
				return a.wrote(&wroteView{Space: d.space, Key: d.key, Done: deletionDone()[phase]})
			})
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do it; without it, only say what would be done")
	c.Flags().StringVar(&phase, "phase", "", "one phase only: mark, commit or abort")
	c.Flags().StringVar(&id, "request-id", "", "the request `id`, to repeat a command whose outcome is unknown")
	return c
}

// deletionDone says what each phase does.
func deletionDone() map[string]string {
	return map[string]string{"": "deleted", adapter.PhaseMark: "marked", adapter.PhaseCommit: "deleted", adapter.PhaseAbort: "unmarked"}
}

type deletion struct {
	space, key, phase string
	options           []adapter.WriteOption
}

func (d *deletion) do(ctx context.Context, client *adapter.Client) error {
	if d.phase == "" {
		return client.Delete(ctx, d.space, d.key, d.options...)
	}
	return client.DeletePhase(ctx, d.space, d.key, d.phase, d.options...)
}

// plan refuses, and says what would be lost.
func (d *deletion) plan(ctx context.Context, client *adapter.Client) error {
	name := d.space + "/" + d.key
	seq, incarnation, err := head(ctx, client, d.space, d.key)
	switch {
	case errors.Is(err, adapter.ErrBeingDeleted):
		err = fmt.Errorf("%s is marked for deletion; it is not removed without --yes", name)
	case err != nil:
		return err
	default:
		err = fmt.Errorf("%s would be %s: head %d, incarnation %s", name, deletionDone()[d.phase], seq, incarnation)
	}
	return hint(&failure{exit: exitRefused, err: err}, "nothing has changed; --yes does it")
}
