package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"trireme/internal/layout"
	"trireme/internal/layoutfile"
	"trireme/internal/register"
	"trireme/ops"
)

// layouts is the layout in force on a host of a cluster, and what is at its source.
//
// A layout comes into force when the register has accepted it, so that no two
// hosts ever run different ones under one version. What is in force is kept on
// disk: a host that has such a copy needs neither source nor register to go on.
type layouts struct {
	source *layoutfile.Source
	copy   string // path of the copy of the layout in force

	mu     sync.Mutex
	force  layout.Layout // in force; of version 0 while none is
	wanted layout.Layout // what the source said last that could be read; of version 0 for nothing
	fault  *ops.LayoutFault
	woken  chan struct{}
}

const layoutCopy = "layout.conf"

// newLayouts reads the source, and the copy on disk. There must be one of them.
func newLayouts(ctx context.Context, source, data string) (*layouts, error) {
	l := &layouts{
		source: &layoutfile.Source{Location: source},
		copy:   filepath.Join(data, layoutCopy),
		woken:  make(chan struct{}, 1),
	}
	wanted, err := l.source.Read(ctx)
	l.heard(wanted, err)
	force, copyErr := layoutfile.Load(l.copy)
	if copyErr != nil && err != nil {
		return nil, errors.Join(err, copyErr)
	}
	l.force = force
	return l, nil
}

// first is the layout to begin with: which hosts there are, and where.
func (l *layouts) first() layout.Layout {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.force.Version > 0 {
		return l.force
	}
	return l.wanted
}

// inForce is the layout in force, of version 0 while there is none.
func (l *layouts) inForce() layout.Layout {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.force
}

func (l *layouts) status() *ops.LayoutFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// heard takes in what the source says.
func (l *layouts) heard(wanted layout.Layout, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.wanted, l.fault = wanted, nil
	case errors.Is(err, layoutfile.ErrUnreachable):
		l.fault = &ops.LayoutFault{Kind: ops.LayoutUnreachable, Text: err.Error()}
	default:
		l.fault = &ops.LayoutFault{Kind: ops.LayoutInvalid, Text: err.Error()}
	}
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

func (l *layouts) refused(kind ops.LayoutFaultKind, version uint64, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = &ops.LayoutFault{Kind: kind, Version: version, Text: fmt.Sprintf(format, args...)}
}

// keepLayout follows the source and the register for as long as ctx lives.
func (h *Host) keepLayout(ctx context.Context) {
	l := h.cluster.layouts
	h.wait.Go(func() { l.source.Watch(ctx, l.heard) })
	pause := openPauseMin
	for ctx.Err() == nil {
		err := h.agree(ctx)
		if err != nil && ctx.Err() == nil && l.inForce().Version == 0 {
			h.Logger.Info("waiting for the other hosts, to agree on a layout", "error", err)
		}
		wait := h.Config.Cluster.Poll
		if err != nil {
			wait, pause = pause, min(2*pause, openPauseMax)
		} else {
			pause = openPauseMin
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.woken:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// agree brings this host, the register and the source together as far as they go.
func (h *Host) agree(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	r, err := h.openRegister(ctx)
	if err != nil {
		return err
	}
	state, err := r.State(ctx)
	if err != nil {
		return err
	}
	if err := h.adopt(state); err != nil {
		return err
	}
	return h.propose(ctx, r)
}

// adopt puts the layout of the register into force, if it is newer.
func (h *Host) adopt(state register.State) error {
	l := h.cluster.layouts
	if state.Version == 0 || state.Version <= l.inForce().Version {
		return nil
	}
	next, err := layoutfile.Parse("the register", state.Layout)
	if err != nil {
		return fmt.Errorf("the layout %d of the register: %w", state.Version, err)
	}
	if was := l.inForce(); was.Version > 0 {
		if err := layout.Follow(was, next); err != nil {
			l.refused(ops.LayoutRefused, next.Version, "the other hosts run layout %d, and this host cannot follow from %d: %v", next.Version, was.Version, err)
			return err
		}
	}
	if err := h.enforce(next); err != nil {
		l.refused(ops.LayoutRefused, next.Version, "layout %d cannot come into force on this host: %v", next.Version, err)
		return err
	}
	return nil
}

// propose has the register accept what the source says, if it may follow.
func (h *Host) propose(ctx context.Context, r *register.Register) error {
	l := h.cluster.layouts
	l.mu.Lock()
	wanted, force, fault := l.wanted, l.force, l.fault
	l.mu.Unlock()
	if fault != nil && (fault.Kind == ops.LayoutUnreachable || fault.Kind == ops.LayoutInvalid) || wanted.Version == 0 {
		return nil
	}
	switch {
	case wanted.Version < force.Version:
		l.refused(ops.LayoutOlder, wanted.Version, "%s holds layout %d, version %d is in force: a layout never goes back; give a changed one a higher number", h.Config.Layout, wanted.Version, force.Version)
		return nil
	case wanted.Version == force.Version && wanted.Digest() != force.Digest():
		l.refused(ops.LayoutConflict, wanted.Version, "%s says otherwise than what the hosts have agreed on as layout %d: give it a higher number", h.Config.Layout, wanted.Version)
		return nil
	case wanted.Version == force.Version:
		l.settled()
		return nil
	}
	if _, ok := wanted.Host(h.Config.Host); !ok && force.Version == 0 {
		return fmt.Errorf("host %s is not in layout %d", h.Config.Host, wanted.Version)
	}
	state, err := r.Propose(ctx, wanted.Version, wanted.Digest(), layoutfile.Format(wanted), func(current register.State) error {
		if current.Version == 0 {
			return nil
		}
		if current.Version >= wanted.Version {
			return errPassed
		}
		was, err := layoutfile.Parse("the register", current.Layout)
		if err != nil {
			return err
		}
		if err := layout.Follow(was, wanted); err != nil {
			return fmt.Errorf("%w layout %d: %w", errMayNotFollow, current.Version, err)
		}
		return nil
	})
	switch {
	case errors.Is(err, errMayNotFollow):
		l.refused(ops.LayoutRefused, wanted.Version, "%v", err)
		return nil
	case errors.Is(err, errPassed):
		return h.adopt(state)
	case err != nil:
		return err
	}
	return h.adopt(state)
}

// Why a proposal was not made.
var (
	// errPassed: another host's proposal has come before.
	errPassed = errors.New("the hosts have agreed on another layout meanwhile")
	// errMayNotFollow: the layout changes what is bound for good.
	errMayNotFollow = errors.New("it may not follow")
)

func (l *layouts) settled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = nil
}

// enforce has this host run a layout that the register has accepted.
func (h *Host) enforce(next layout.Layout) error {
	l := h.cluster.layouts
	if err := h.server.SetCluster(clusterOf(h.Config, next)); err != nil {
		return err
	}
	if err := layoutfile.Save(l.copy, next); err != nil {
		return err
	}
	l.mu.Lock()
	l.force, l.fault = next, nil
	l.mu.Unlock()
	h.cluster.peers.setLayout(next)
	h.Logger.Info("layout in force", "version", next.Version, "digest", next.Digest())
	h.report()
	h.refresh()
	return h.openStripes(next)
}
