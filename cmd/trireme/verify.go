package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"trireme/internal/layoutfile"
	"trireme/repair"
	"trireme/repair/verify"
)

const verifyLong = `Compare the documents of all members of all stripes, and say whether they are
identical now.

The position that each stripe has come to when it begins is fixed, and what every
member keeps at or past that position is compared: everything that was acknowledged
before is in it, and writing may go on meanwhile. Members that lag or heal are waited
for, up to --wait. Compared are the digests that every member keeps of its documents;
--deep has every member re-read its disk first, check each document against its
digest, and repair what is damaged.

  PASS        every bucket of every member of every stripe was compared, and all are
              equal; exit code 0
  FAIL        documents differ, or are damaged: each is named, with who is right; 6
  INCOMPLETE  nothing is known to differ, and not all could be compared, because
              members are down, sick or behind; 7

--evidence writes what was found to a file, as JSON: who asked and when, the positions,
the roots of every partition on every member, and every difference.`

// A verifyFlags is what the command line says of a verification.
type verifyFlags struct {
	deep     bool
	wait     time.Duration
	evidence string
}

func (a *app) verifyCommand() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use: "verify", Short: "Say whether all copies of all documents are identical now", Long: verifyLong,
		Example: `  trireme verify
  trireme verify --wait 10m --evidence verify.json    after a host was healed
  trireme verify --deep                               re-read every disk first`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.wait < 0 {
				return usage("--wait %v: want 0 or more", f.wait)
			}
			return a.verify(cmd, f)
		},
	}
	c.Flags().BoolVar(&f.deep, "deep", false, "have every member re-read its disk first")
	c.Flags().DurationVar(&f.wait, "wait", 30*time.Second, "how long to wait for members that lag or heal")
	c.Flags().StringVar(&f.evidence, "evidence", "", "write what was found to this `file`, as JSON")
	return c
}

func (a *app) verify(cmd *cobra.Command, f verifyFlags) error {
	c, err := a.comparer(cmd)
	if err != nil {
		return err
	}
	defer c.watch.close()
	v := &verification{comparer: c, app: a, flags: f, began: time.Now().UTC()}
	if f.deep {
		if v.scrubs, err = a.scrubs(cmd.Context(), c.repairers, repair.Scope{}); err != nil {
			return err
		}
	}
	if err := v.run(cmd.Context()); err != nil {
		return err
	}
	e := v.found()
	if f.evidence != "" {
		text, err := indented(e)
		if err == nil {
			err = layoutfile.WriteFile(f.evidence, text, 0o644)
		}
		if err != nil {
			return fmt.Errorf("write the evidence: %w", err)
		}
	}
	if err := a.result(e, e.print); err != nil {
		return err
	}
	switch e.Verdict {
	case verify.Pass:
		return nil
	case verify.Fail:
		return &failure{exit: exitDiffers, err: errDegraded}
	}
	return &failure{exit: exitIncomplete, err: errDegraded}
}

// How long a verification rests between two passes over what was not comparable. Short,
// so that buckets that are written to all the time are met at the same change soon.
const (
	passMin = 20 * time.Millisecond
	passMax = 250 * time.Millisecond
)

// run asks until everything is known, or --wait is over.
func (v *verification) run(ctx context.Context) error {
	v.verify = verify.New(stripesOf(&v.layout))
	v.heard(true)
	p := v.app.progress()
	defer p.end()
	deadline := time.Now().Add(v.flags.wait)
	for pause := passMin; ; pause = min(passMax, 2*pause) {
		if err := v.pass(ctx); err != nil {
			return err
		}
		if v.verify.Settled() || !time.Now().Before(deadline) {
			// What a host knows to be damaged counts as of now.
			if v.look(ctx); v.verify.Done() || v.verify.Failed() || !time.Now().Before(deadline) {
				return ctx.Err()
			}
		} else if v.verify.Failed() {
			return ctx.Err()
		}
		p.at(v.step())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Since(v.looked) > watchEvery {
			v.look(ctx) // for those that were away, and how far those are that heal
		}
		v.verify.Again()
	}
}

// look asks the hosts for their status again. When none answers, what they told before
// stands.
func (v *verification) look(ctx context.Context) {
	if v.repairers.look(ctx, "") == nil {
		v.heard(false)
	}
}

// heard takes in what the hosts have told of themselves.
func (v *verification) heard(first bool) {
	v.looked = time.Now()
	for _, h := range v.hosts {
		if h.Repair != nil {
			v.verify.Damaged(h.Host, h.Repair.Damaged)
		}
		if !first {
			continue
		}
		for _, p := range h.Stripes {
			if s, ok := v.layout.Stripe(p.Name); ok {
				v.verify.Fix(p.Name, positionOf(s.Birth, p.LogLast))
			}
		}
	}
}
