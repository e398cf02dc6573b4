package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"trireme/adapter"
	"trireme/internal/contract"
	"trireme/internal/localcluster"
	"trireme/internal/position"
	"trireme/internal/record"
	"trireme/streams"
)

// A zombieReport is what a zombie drill found, as -o json tells it.
type zombieReport struct {
	Pass       bool            `json:"pass"`
	Stripe     string          `json:"stripe"`
	Frozen     string          `json:"frozen"` // the owner that was
	PID        int             `json:"pid"`
	Epoch      string          `json:"epoch"`
	NewOwner   string          `json:"new_owner"`
	NewEpoch   string          `json:"new_epoch"`
	TakeoverMS int64           `json:"takeover_ms"`
	FrozenMS   int64           `json:"frozen_ms"`
	Late       []zombieLate    `json:"late"`
	Log        zombieLogReport `json:"log"`
	Faults     []string        `json:"faults"` // why it is a FAIL
}

// A zombieLate is a patch that the frozen owner was sent, and what became of the
// document.
type zombieLate struct {
	Space   string        `json:"space"`
	Key     string        `json:"key"`
	Code    contract.Code `json:"code"` // 0 would be success
	Answer  string        `json:"answer"`
	Refused bool          `json:"refused"` // with a promise that nothing has happened
	Seq     int32         `json:"seq"`     // of the document afterwards
	By      string        `json:"by"`      // whose patch it has: new, late or nobody
}

// A zombieLogReport is what the stripe's log holds from the frozen owner's claim on.
type zombieLogReport struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Records int    `json:"records"`
	Late    int    `json:"late_records"` // of older epochs, after the new claim
}

// report looks at the documents and at the log.
func (z *zombie) report(ctx context.Context) (*zombieReport, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*zombieAnswer) // for the documents and for the log
	defer cancel()
	r := &zombieReport{
		Stripe: z.stripe.Name, Frozen: z.host.Name, PID: z.process.Pid, Epoch: z.stripe.Epoch, NewOwner: z.next.Owner, NewEpoch: z.next.Epoch,
		TakeoverMS: z.took.takeover.Milliseconds(), FrozenMS: z.took.frozen.Milliseconds(), Faults: []string{},
	}
	for _, d := range z.docs {
		late, err := z.judge(ctx, d)
		if err != nil {
			return nil, err
		}
		r.Late = append(r.Late, late)
		if !late.Refused {
			r.fault("the frozen owner's patch of %s was not refused: %s", d.key, d.answer)
		}
		if late.By != "new" || late.Seq != 2 {
			r.fault("document %s is at %d, by %s: want 2, by new", d.key, late.Seq, late.By)
		}
	}
	var err error
	if r.Log, err = z.readLog(ctx); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	if r.Log.Late > 0 {
		r.fault("the log has %d records of older epochs after the claim %s", r.Log.Late, r.NewEpoch)
	}
	r.Pass = len(r.Faults) == 0
	return r, nil
}

func (r *zombieReport) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// judge finds out what a document has, and which of the two patches.
func (z *zombie) judge(ctx context.Context, d *zombieDoc) (zombieLate, error) {
	e, known := contract.Explain(d.code)
	late := zombieLate{
		Space: zombieSpace, Key: d.key, Code: d.code, Answer: d.answer,
		Refused: known && e.Happened == "no", By: "nobody",
	}
	for page, err := range z.client.History(ctx, adapter.HistoryRequest{Space: zombieSpace, Key: d.key}) {
		if err != nil {
			return late, fmt.Errorf("read document %s: %w", d.key, err)
		}
		late.Seq = page.Seq
		for _, entry := range page.Entries {
			switch entry.RequestID {
			case d.lateID:
				late.By = "late"
			case d.newID:
				if late.By == "nobody" {
					late.By = "new"
				}
			}
		}
	}
	return late, nil
}

// readLog reads the stripe's log from the frozen owner's claim on, as any client may.
func (z *zombie) readLog(ctx context.Context) (zombieLogReport, error) {
	old, err := position.Parse(z.stripe.Epoch)
	if err != nil {
		return zombieLogReport{}, err
	}
	claim, err := position.Parse(z.next.Epoch)
	if err != nil {
		return zombieLogReport{}, err
	}
	var log *streams.Log
	err = z.again(ctx, "the log of stripe "+z.stripe.Name, func(ctx context.Context) (err error) {
		log, err = streams.Open(ctx, z.others, streams.Config{Stripe: z.stripe.Name, Birth: old.Birth, Replicas: z.stripe.Replicas})
		return err
	})
	if err != nil {
		return zombieLogReport{}, err
	}
	found := zombieLogReport{}
	state, err := z.logState(ctx, log, claim.Seq)
	if err == nil {
		from := max(old.Seq, state.First)
		found.From = position.Position{Birth: old.Birth, Seq: from}.String()
		found.To = position.Position{Birth: old.Birth, Seq: state.Last}.String()
		err = log.Read(ctx, from, state.Last, func(seq uint64, body []byte) error {
			found.Records++
			r, err := record.Parse(body)
			if err == nil && seq > claim.Seq && r.Kind == record.Batch && r.Epoch.Less(claim) {
				found.Late++
			}
			return err
		})
	}
	return found, errors.Join(err, log.Close())
}

// logState is what the log holds, the patches that were made after the claim included.
// One who was told of them and leads no more may not know of them yet.
func (z *zombie) logState(ctx context.Context, log *streams.Log, claim uint64) (state streams.LogState, err error) {
	err = z.again(ctx, "the state of the log of stripe "+z.stripe.Name, func(ctx context.Context) (err error) {
		state, err = log.State(ctx)
		if err == nil && state.Last <= claim {
			err = fmt.Errorf("%s tells that the log ends at %d, and the new owner has written after %d", state.Leader, state.Last, claim)
		}
		return err
	})
	return state, err
}

// again asks until there is an answer. A thawed host upsets its cluster once more, and
// for some seconds a stream may have no leader, or its leader no connection.
func (z *zombie) again(ctx context.Context, what string, ask func(context.Context) error) error {
	var final error
	err := localcluster.Await(ctx, what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, peerLimit)
		defer cancel()
		err := ask(ctx)
		if errors.Is(err, streams.ErrNoStream) || errors.Is(err, streams.ErrConfig) {
			final = err
			return nil
		}
		return err
	})
	return errors.Join(err, final)
}

func (r *zombieReport) print(w io.Writer) {
	ms := func(n int64) string { return short(time.Duration(n) * time.Millisecond) }
	fmt.Fprintf(w, "stripe %s: %s (process %d) owned it since %s and was frozen;\n", r.Stripe, r.Frozen, r.PID, r.Epoch)
	fmt.Fprintf(w, "%s took over after %s with epoch %s; %s went on after %s\n\n", r.NewOwner, ms(r.TakeoverMS), r.NewEpoch, r.Frozen, ms(r.FrozenMS))
	lines := [][]string{{"DOCUMENT", "LATE PATCH OF " + r.Frozen, "HEAD", "HAS THE PATCH OF"}}
	for _, l := range r.Late {
		by := map[string]string{"new": r.NewOwner, "late": r.Frozen, "nobody": "nobody"}[l.By]
		lines = append(lines, []string{l.Key, l.Answer, fmt.Sprint(l.Seq), by})
	}
	rows(w, lines)
	fmt.Fprintf(w, "\nlog of %s, %s to %s: %d records, %d of older epochs after the claim %s\n\n", r.Stripe, r.Log.From, r.Log.To, r.Log.Records, r.Log.Late, r.NewEpoch)
	if r.Pass {
		fmt.Fprintln(w, "PASS: the frozen owner has changed nothing after it was replaced")
		return
	}
	fmt.Fprintln(w, "FAIL")
	for _, f := range r.Faults {
		fmt.Fprintln(w, "  "+f)
	}
}
