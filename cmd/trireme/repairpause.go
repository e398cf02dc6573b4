package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trireme/ops"
)

func (a *app) repairPauseCommand() *cobra.Command {
	var f scopeFlags
	c := &cobra.Command{
		Use: "pause DURATION", Short: "Have hosts repair nothing for a time",
		Long: fmt.Sprintf(`Have hosts compare, heal and scrub nothing for a time. It ends by itself, also when a
host is started again meanwhile, and at once with "repair resume"; a second pause
replaces the first. DURATION is up to %v, as in 30m or 12h.

Damaged documents that requests ask for are repaired all the same. Nothing is lost by
a pause: what it kept from being repaired is found afterwards.`, ops.MaxPause),
		Example: "  trireme repair pause 2h\n  trireme repair pause 30m --host h2",
		Args:    arguments("DURATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := time.ParseDuration(args[0])
			if err != nil || d <= 0 || d > ops.MaxPause {
				return usage("DURATION %q: want more than 0 and up to %v, as in 30m or 12h", args[0], ops.MaxPause)
			}
			return a.steer(cmd, f.host, func(ctx context.Context, c ops.Client, x *steeredHost) error {
				until, err := c.Pause(ctx, x.Host, d)
				if err == nil {
					x.Until, x.State = &until, "repair is paused until "+until.UTC().Format(time.RFC3339)
				}
				return err
			})
		},
	}
	f.hostFlag(c)
	return c
}

func (a *app) repairResumeCommand() *cobra.Command {
	var f scopeFlags
	c := &cobra.Command{
		Use: "resume", Short: "End a pause", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.steer(cmd, f.host, func(ctx context.Context, c ops.Client, x *steeredHost) error {
				x.State = "repair is not paused"
				return c.Resume(ctx, x.Host)
			})
		},
	}
	f.hostFlag(c)
	return c
}

func (a *app) repairRateCommand() *cobra.Command {
	var f scopeFlags
	var tranquility float64
	c := &cobra.Command{
		Use: "rate [RATE]", Short: "Bound what hosts pull in a second, and how long they rest",
		Long: `Bound how much of documents a host pulls in a second: RATE is as in 20MB, 500KB or
1GB, in powers of 1024, or none. --tranquility is how long background work rests after
each piece of work, in multiples of what the piece took: 1 takes half of the time, 0
all of it. Both hold over restarts, and win over the configuration.

Requests that wait for a damaged document are not slowed down.`,
		Example: "  trireme repair rate 20MB\n  trireme repair rate none --tranquility 0 --host h2",
		Args:    arguments("[RATE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t ops.Throttle
			if len(args) == 1 {
				rate, err := parseRate(args[0])
				if err != nil {
					return err
				}
				t.Rate = &rate
			}
			if cmd.Flags().Changed("tranquility") {
				if !(tranquility >= 0 && tranquility <= ops.MaxTranquility) {
					return usage("--tranquility %v: want 0 to %d", tranquility, ops.MaxTranquility)
				}
				t.Tranquility = &tranquility
			}
			if t.Rate == nil && t.Tranquility == nil {
				return usage("%s: RATE is missing, or --tranquility", cmd.CommandPath())
			}
			return a.steer(cmd, f.host, func(ctx context.Context, c ops.Client, x *steeredHost) error {
				x.State = throttleText(t)
				return c.Throttle(ctx, x.Host, t)
			})
		},
	}
	f.hostFlag(c)
	c.Flags().Float64Var(&tranquility, "tranquility", 0, "how long work rests after each piece, in `times` of what that took")
	return c
}

func throttleText(t ops.Throttle) string {
	var parts []string
	if t.Rate != nil {
		parts = append(parts, "pulls "+rateText(*t.Rate))
	}
	if t.Tranquility != nil {
		parts = append(parts, fmt.Sprintf("rests %v times as long as it works", *t.Tranquility))
	}
	return strings.Join(parts, ", ")
}

func rateText(rate int64) string {
	if rate == 0 {
		return "as fast as it can"
	}
	return "up to " + ops.Bytes(rate) + "/s"
}

// parseRate reads bytes in a second: a number with a unit, or none.
func parseRate(s string) (int64, error) {
	if s == "none" {
		return 0, nil
	}
	bad := usage("RATE %q: want a number of bytes a second, as in 20MB, or none", s)
	upper := strings.ToUpper(s)
	digits := strings.TrimRight(upper, "KMGTIB")
	unit := strings.TrimSuffix(upper[len(digits):], "B")
	shift := map[string]int{"": 0, "K": 10, "KI": 10, "M": 20, "MI": 20, "G": 30, "GI": 30, "T": 40, "TI": 40}
	by, known := shift[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || n < 1 || n > (1<<62)>>by {
		return 0, bad
	}
	return n << by, nil
}

// A steeredView is what hosts were told.
type steeredView struct {
	Hosts       []steeredHost `json:"hosts"`
	Unreachable []awayHost    `json:"unreachable"`
}

type steeredHost struct {
	hostOutcome
	State string     `json:"state"`                  // afterwards, in words; "" when it was not done
	Until *time.Time `json:"paused_until,omitempty"` // of a pause
}

// steer tells something to every host that is meant.
func (a *app) steer(cmd *cobra.Command, host string, tell func(ctx context.Context, c ops.Client, x *steeredHost) error) error {
	r, err := a.repairers(cmd, host)
	if err != nil {
		return err
	}
	defer r.watch.close()
	ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
	defer cancel()
	v := steeredView{make([]steeredHost, len(r.hosts)), append([]awayHost{}, r.away...)}
	errs := r.each(func(i int, h *hostStatus) error {
		x := &v.Hosts[i]
		x.Host = h.Host
		err := tell(ctx, r.Client, x)
		if x.hostOutcome = outcome(h.Host, err); err != nil {
			x.State = ""
		}
		return err
	})
	if err := r.alone(errs); err != nil {
		return err
	}
	err = a.answer(v, func(w io.Writer) {
		var faults []hostOutcome
		for _, x := range v.Hosts {
			if x.Error != nil {
				faults = append(faults, x.hostOutcome)
				continue
			}
			fmt.Fprintf(w, "host %s: %s\n", x.Host, x.State)
		}
		printNotDone(w, faults, v.Unreachable)
	})
	if err != nil {
		return err
	}
	return r.notDone(errs)
}
