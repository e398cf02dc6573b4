package host

import (
	"cmp"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"trireme/buckets"
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
	ready, service := h.ready, h.service
	stripes := make([]*stripe, 0, len(h.stripes))
	for _, s := range h.stripes {
		stripes = append(stripes, s)
	}
	h.mu.Unlock()
	slices.SortFunc(stripes, func(a, b *stripe) int { return cmp.Compare(a.Name, b.Name) })
	st := ops.Status{
		Host: h.Config.Host, Version: h.Version, Started: h.started, Layout: h.layout.Version,
		NATS: h.NATS(), HTTP: h.HTTP(), Ready: ready, Stripes: []ops.Stripe{},
		Disk:     h.diskStatus(),
		Requests: ops.Requests{MaxInFlight: h.Config.Requests.MaxInFlight, MaxBytes: h.Config.Requests.MaxBytes},
	}
	for _, s := range stripes {
		st.Stripes = append(st.Stripes, h.stripeStatus(s))
	}
	if ready {
		cache := h.store.CacheStats()
		st.Store = ops.Store{DiskBytes: h.store.DiskBytes(), Hits: cache.Hits, Misses: cache.Misses, Damaged: h.damaged.Load()}
	}
	if service != nil {
		st.Requests.InFlight, st.Requests.Bytes = service.InFlight()
	}
	st.Assess()
	st.Ready = st.Ready && ready
	return st
}

func (h *Host) stripeStatus(s *stripe) ops.Stripe {
	st := s.owner.Status()
	view := ops.Stripe{
		Name: s.Name, Members: s.Hosts, Partitions: len(h.layout.PartitionsOf(s.Name)),
		Phase: st.Phase.String(), Applied: s.replica.Applied().Seq, Durable: s.replica.Durable(), Skipped: s.replica.Skipped(),
		LogFirst: st.Log.First, LogLast: st.Log.Last, LogBytes: st.Log.Bytes, LogMax: st.Log.MaxBytes, Queued: st.Queued,
	}
	if st.Phase == streams.Serving {
		view.Owner, view.Epoch = h.Config.Host, st.Epoch.String()
	}
	if st.Err != nil {
		view.Error = st.Err.Error()
	}
	return view
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
