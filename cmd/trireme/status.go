package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/spf13/cobra"

	"trireme/ops"
)

// errDegraded ends the program when the answer is bad news.
var errDegraded = errors.New("degraded")

func (a *app) statusCommand() *cobra.Command {
	var host string
	c := &cobra.Command{
		Use: "status", Short: "Show what state a host is in, and what to do about it",
		Long: `Show what state a host is in: what is wrong first, each with its remedy, then
its stripes, store and disk.

The exit code is 3 when the host is not ready or in a critical condition.`,
		Example: "  trireme status\n  trireme status --host h2\n  trireme status -o json | jq .conditions",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.hostStatus(cmd, host)
			if err != nil {
				return err
			}
			if err := a.answer(json.RawMessage(s.raw), s.print); err != nil {
				return err
			}
			if s.bad() {
				return &failure{exit: exitDegraded, err: errDegraded}
			}
			return nil
		},
	}
	c.Flags().StringVar(&host, "host", "", "ask this `host` instead of whichever answers")
	return c
}

// statusLimit bounds the wait for a status, which a host answers at once.
const statusLimit = 5 * time.Second

// A hostStatus is a status and the JSON that it came as: fields that this
// program does not know are passed on.
type hostStatus struct {
	ops.Status
	raw []byte
	now time.Time
}

func (a *app) hostStatus(cmd *cobra.Command, host string) (*hostStatus, error) {
	nc, err := a.connect(cmd)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	subject := ops.StatusSubject
	if host != "" {
		if strings.ContainsAny(host, ".*> \t\r\n") {
			return nil, usage("--host %q is not the name of a host", host)
		}
		subject = ops.HostStatusSubject(host)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), min(statusLimit, a.timeout))
	defer cancel()
	reply, err := nc.RequestWithContext(ctx, subject, nil)
	switch {
	case errors.Is(err, nats.ErrNoResponders) && host != "":
		return nil, hint(fmt.Errorf("host %s does not answer at %s: %w", host, nc.ConnectedUrlRedacted(), err), "without --host whichever host is there answers")
	case err != nil:
		return nil, fmt.Errorf("ask %s for its status: %w", nc.ConnectedUrlRedacted(), err)
	}
	if text := reply.Header.Get(micro.ErrorHeader); text != "" {
		return nil, fmt.Errorf("the host cannot tell its status: %s", text)
	}
	s := &hostStatus{raw: reply.Data, now: time.Now()}
	if err := json.Unmarshal(reply.Data, &s.Status); err != nil {
		return nil, fmt.Errorf("read the status: %w", err)
	}
	return s, nil
}

func (s *hostStatus) bad() bool {
	for _, c := range s.Conditions {
		if c.Severity == ops.Critical {
			return true
		}
	}
	return !s.Ready
}

func (s *hostStatus) print(w io.Writer) {
	ready := "ready"
	if !s.Ready {
		ready = "NOT READY"
	}
	fmt.Fprintf(w, "host %s: %s, up %s, trireme %s, layout %d\n", s.Host, ready, s.now.Sub(s.Started).Round(time.Second), s.Version, s.Layout)
	fmt.Fprintf(w, "NATS %s  HTTP %s\n", orNone(s.NATS), orNone(s.HTTP))
	for _, c := range s.Conditions {
		fmt.Fprintf(w, "\n%s %s: %s\n  remedy: %s\n", strings.ToUpper(string(c.Severity)), c.ID, c.Text, c.Remedy)
	}
	fmt.Fprintln(w)
	rows(w, s.stripeRows())
	fmt.Fprintln(w)
	rows(w, [][]string{
		{"store", ops.Bytes(s.Store.DiskBytes) + " on disk", hitRatio(s.Store)},
		{"disk", ops.Bytes(s.Disk.Free) + " free of " + ops.Bytes(s.Disk.Total), "reserve " + ops.Bytes(s.Disk.Reserve)},
		{"requests", strconv.Itoa(s.Requests.InFlight) + " in flight", ops.Bytes(s.Requests.Bytes)},
	})
}

func (s *hostStatus) stripeRows() [][]string {
	lines := [][]string{{"STRIPE", "OWNER", "PHASE", "PARTITIONS", "EPOCH", "APPLIED", "DURABLE", "LOG", "LOG SIZE", "QUEUED"}}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, p := range s.Stripes {
		size := ops.Bytes(p.LogBytes)
		if p.LogMax > 0 {
			size += " of " + ops.Bytes(p.LogMax)
		}
		lines = append(lines, []string{
			p.Name, orNone(p.Owner), p.Phase, strconv.Itoa(p.Partitions), orNone(p.Epoch),
			number(p.Applied), number(p.Durable), number(p.LogFirst) + ".." + number(p.LogLast), size, strconv.Itoa(p.Queued),
		})
	}
	return lines
}

func hitRatio(s ops.Store) string {
	all := s.Hits + s.Misses
	if all == 0 {
		return "cache not used yet"
	}
	return fmt.Sprintf("%.0f %% of %d merged reads from the cache", float64(s.Hits)*100/float64(all), all)
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
