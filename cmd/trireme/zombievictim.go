package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/localcluster"
	"trireme/ops"
)

// A zombieVictim is the owner that is frozen, and how to reach it and the others.
type zombieVictim struct {
	process *os.Process
	host    ops.HostView
	stripe  ops.Stripe
	others  []ops.HostView
}

// settling bounds the wait for a cluster in which an ownership moves, as after a start.
const settling = 15 * time.Second

// errNotNow: no stripe can lose its owner as things are. That may pass.
var errNotNow = errors.New("no stripe can lose its owner now")

// findVictim waits for a stripe that can lose its owner.
func (a *app) findVictim(ctx context.Context, nc *nats.Conn, stripe string) (v *zombieVictim, err error) {
	ctx, cancel := context.WithTimeout(ctx, settling+statusLimit)
	defer cancel()
	until := time.Now().Add(settling)
	_ = localcluster.Await(ctx, "a stripe that can lose its owner", func(ctx context.Context) error {
		if v, err = a.lookForVictim(ctx, nc, stripe); errors.Is(err, errNotNow) && time.Now().Before(until) {
			return err
		}
		return nil // err tells
	})
	return v, err
}

// lookForVictim picks a stripe that can lose its owner, and makes sure that the owner
// is a process that may be frozen.
func (a *app) lookForVictim(ctx context.Context, nc *nats.Conn, stripe string) (*zombieVictim, error) {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	c := ops.Client{Conn: nc}
	s, err := c.Status(ctx, "")
	if err != nil {
		return nil, told(err)
	}
	if len(s.Hosts) == 0 {
		return nil, refusal("`trireme demo` runs three hosts", "host %s stands alone: nobody could take over", s.Host)
	}
	for _, h := range s.Hosts {
		if !onLoopback(h.NATS) || !onLoopback(h.HTTP) {
			return nil, refusal("`trireme demo` runs three hosts here", "host %s is at %s: this drill is for hosts on this machine", h.Name, h.NATS)
		}
	}
	v := &zombieVictim{}
	if v.stripe, err = pickStripe(&s, stripe); err != nil {
		return nil, err
	}
	for _, h := range s.Hosts {
		if h.Name == v.stripe.Owner {
			v.host = h
		} else {
			v.others = append(v.others, h)
		}
	}
	owner, err := c.Status(ctx, v.host.Name)
	if err != nil {
		return nil, told(err)
	}
	if v.stripe, err = servedBy(&owner, v.stripe.Name); err != nil {
		return nil, err
	}
	v.process, err = ownProcess(owner.PID)
	if err != nil {
		return nil, refusal("run the drill on the machine of the hosts, as their user", "host %s: %w", v.host.Name, err)
	}
	return v, nil
}

// refusal ends the program before anything was done.
func refusal(remedy, format string, args ...any) error {
	return hint(&failure{exit: exitRefused, err: fmt.Errorf(format, args...)}, "%s", remedy)
}

// pickStripe finds a stripe whose members all live, so that it goes on without its
// owner.
func pickStripe(s *ops.Status, name string) (ops.Stripe, error) {
	why := errors.New("no stripe carries anything")
	for i := range s.Stripes {
		p := &s.Stripes[i]
		if name != "" && p.Name != name || p.Partitions == 0 {
			continue
		}
		if err := couldLoseOwner(p); err != nil {
			why = fmt.Errorf("stripe %s: %w", p.Name, err)
			continue
		}
		return *p, nil
	}
	if name != "" && s.Stripes != nil && !strings.Contains(why.Error(), name) {
		return ops.Stripe{}, refusal("`trireme status` lists the stripes", "there is no stripe %s that carries anything", name)
	}
	return ops.Stripe{}, notNow(why)
}

func notNow(why error) error {
	return refusal("`trireme status` tells what is wrong; try again when all is well", "%w: %w", errNotNow, why)
}

// servedBy is a stripe as its owner tells of it. What others have heard may be a move
// behind.
func servedBy(s *ops.Status, stripe string) (ops.Stripe, error) {
	for i := range s.Stripes {
		p := &s.Stripes[i]
		if p.Name == stripe && p.Owner == s.Host && p.Served(s.Host) {
			return *p, nil
		}
	}
	return ops.Stripe{}, notNow(fmt.Errorf("host %s does not serve stripe %s any more", s.Host, stripe))
}

func couldLoseOwner(p *ops.Stripe) error {
	if p.Owner == "" {
		return errors.New("nobody owns it")
	}
	if len(p.MembersState) < 3 {
		return fmt.Errorf("it has %d members, and needs 3 to go on without one", len(p.MembersState))
	}
	for _, m := range p.MembersState {
		switch {
		case !m.Alive:
			return fmt.Errorf("member %s is not there", m.Host)
		case m.Sick != "":
			return fmt.Errorf("member %s is sick: %s", m.Host, m.Sick)
		}
	}
	return nil
}

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// ownProcess makes sure that a number is that of a running `trireme serve` of this user.
func ownProcess(pid int) (*os.Process, error) {
	if pid <= 1 || pid == os.Getpid() {
		return nil, fmt.Errorf("it does not tell its process: %d", pid)
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	owner, err := ownerOfProcess(dir)
	if err != nil {
		return nil, fmt.Errorf("process %d cannot be looked at here: %w", pid, err)
	}
	if owner != os.Getuid() {
		return nil, fmt.Errorf("process %d belongs to user %d, this is user %d", pid, owner, os.Getuid())
	}
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return nil, fmt.Errorf("process %d cannot be looked at here: %w", pid, err)
	}
	args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
	if len(args) < 2 || !strings.HasPrefix(filepath.Base(args[0]), "trireme") || args[1] != "serve" {
		return nil, fmt.Errorf("process %d is no trireme: %.100q", pid, strings.Join(args, " "))
	}
	return os.FindProcess(pid)
}
