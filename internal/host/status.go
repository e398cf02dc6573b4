package host

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"trireme/buckets"
	"trireme/internal/layout"
	"trireme/internal/members"
	"trireme/ops"
	"trireme/streams"
)

type counter struct{ atomic.Uint64 }

// storeEvent feeds metrics and log with what the store meets.
func (h *Host) storeEvent(e buckets.Event) {
	h.metrics.StoreEvent(e.Kind.String())
	if e.Kind == buckets.RowDamaged {
		h.damaged.Add(1)
	}
	h.Logger.Warn("document store", "event", e.Kind.String(), "position", e.Position.String(),
		"space", e.Key.Space, "key", e.Key.Key, "error", e.Err)
}

// Status is the host as it is now.
func (h *Host) Status() ops.Status {
	h.mu.Lock()
	phase, step, service := h.phase, h.step, h.service
	h.mu.Unlock()
	l := h.layout()
	st := ops.Status{
		Host: h.Config.Host, Version: h.Version, Started: h.started, PID: os.Getpid(), Phase: phase, Step: step,
		Layout: l.Version, NATS: h.NATS(), HTTP: h.HTTP(), Stripes: []ops.Stripe{}, Hosts: []ops.HostView{},
		Disk: h.diskStatus(),
		Requests: ops.Requests{
			MaxInFlight: h.Config.Requests.MaxInFlight, MaxBytes: h.Config.Requests.MaxBytes, HoldMS: h.Config.Requests.Hold.Milliseconds(),
		},
	}
	st.Held = h.held()
	if k := h.metered(); k != nil {
		k.describe(&st)
	}
	self := h.id.Self()
	st.DiskID, st.Boot = self.Disk, self.Boot
	if l.Version > 0 {
		st.LayoutDigest = l.Digest()
	}
	if h.cluster != nil {
		h.cluster.describe(&st, h.Config, l)
	}
	for _, s := range l.Stripes {
		if len(l.PartitionsOf(s.Name)) > 0 {
			st.Stripes = append(st.Stripes, h.stripeStatus(l, s))
		}
	}
	if service != nil {
		cache := h.store.CacheStats()
		st.Store = ops.Store{DiskBytes: h.store.DiskBytes(), Hits: cache.Hits, Misses: cache.Misses, Damaged: h.damaged.Load(), SetAside: h.asides()}
		st.Requests.InFlight, st.Requests.Bytes = service.InFlight()
	}
	st.Assess()
	return st
}

// stripeStatus is a stripe as this host has it, and as it has heard of the others.
func (h *Host) stripeStatus(l layout.Layout, s layout.Stripe) ops.Stripe {
	view := ops.Stripe{Name: s.Name, Members: s.Hosts, Replicas: s.Replicas, Partitions: len(l.PartitionsOf(s.Name))}
	if owner, epoch := h.ownerOf(s.Name); owner != "" {
		view.Owner, view.Epoch = owner, epoch.String()
	}
	view.NoOwnerMS = h.ownerless(s.Name, view.Owner == "").Milliseconds()
	if h.cluster != nil {
		view.MembersState = h.cluster.peers.membersOf(s)
	}
	own := h.stripe(s.Name)
	if own == nil {
		return view
	}
	st, lag := own.status(), own.lag()
	view.Phase, view.Sick = st.Phase.String(), own.sickness()
	if st.Phase == streams.Idle {
		view.Phase = ops.StripeOpening
	}
	view.LogGone = own.logGone()
	view.LeaderHere = h.NATS() != "" && own.leads()
	view.Applied, view.Durable, view.Skipped = own.replica.Applied().Seq, own.replica.Durable(), own.replica.Skipped()
	view.LagRecords, view.LagBytes, view.LagMS = lag.Records, lag.Bytes, lag.Millis
	view.LogFirst, view.LogLast, view.LogBytes, view.LogMax = st.Log.First, st.Log.Last, st.Log.Bytes, st.Log.MaxBytes
	view.Queued = st.Queued
	if st.Err != nil && (h.cluster == nil || view.Owner == "") {
		view.Error = st.Err.Error()
	}
	return view
}

// ownerless is for how long a stripe has had no owner, as far as this was asked.
func (h *Host) ownerless(stripe string, now bool) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	since, was := h.without[stripe]
	switch {
	case !now:
		delete(h.without, stripe)
		return 0
	case !was:
		h.without[stripe] = time.Now()
		return time.Millisecond
	}
	return max(time.Since(since), time.Millisecond)
}

// membersOf is what has been heard of a stripe's members.
func (p *peers) membersOf(s layout.Stripe) []ops.MemberView {
	return ask(p, func(t *members.Table, now int64) []ops.MemberView {
		views := make([]ops.MemberView, 0, len(s.Hosts))
		owner, _ := t.Owner(now, s.Name)
		reported := map[string]members.Stripe{}
		for _, v := range t.Hosts(now) {
			reported[v.Name] = v.Report.Stripes[s.Name]
		}
		for _, host := range s.Hosts {
			m := reported[host]
			views = append(views, ops.MemberView{
				Host: host, Alive: t.Alive(now, host), Owner: host == owner, LagRecords: t.Lag(now, s.Name, host).Records,
				Applied: m.Applied, Durable: m.Durable, Sick: m.Sick,
			})
		}
		return views
	})
}

func (h *Host) diskStatus() ops.Disk {
	disk, err := diskOf(h.Config.Data)
	if err != nil {
		return ops.Disk{Reserve: h.reserve}
	}
	return ops.Disk{Free: disk.free, Total: disk.total, Reserve: h.reserve}
}

type disk struct{ free, total uint64 }

// diskOf asks for the file system that a directory is on; free is what this
// process may still use.
func diskOf(dir string) (disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return disk{}, err
	}
	block := uint64(s.Bsize)
	return disk{free: s.Bavail * block, total: s.Blocks * block}, nil
}

// reserve is what changes leave free: as configured, or a tenth of the disk, at
// least 64 MiB and at most 1 GiB. The least is what the store needs to write its
// memory out.
func reserve(configured int64, d disk) uint64 {
	if configured > 0 {
		return uint64(configured)
	}
	const least, most = 64 << 20, 1 << 30
	return min(most, max(least, d.total/10))
}
