package host

import (
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/ops"
)

// RoutePartition is where a partition is served.
func (h *Host) RoutePartition(id layout.PartitionID) (ops.Route, bool) {
	l := h.layout()
	p, ok := l.Partition(id)
	if !ok {
		return ops.Route{}, false
	}
	return h.routeOf(l, p), true
}

// RouteDocument is where a document is served, or would be.
func (h *Host) RouteDocument(space, key string) ops.Route {
	l := h.layout()
	p, _ := l.PartitionOf(layout.BucketOf(space, key))
	return h.routeOf(l, p)
}

func (h *Host) routeOf(l layout.Layout, p layout.Partition) ops.Route {
	r := ops.Route{Partition: p.ID, Stripe: p.Stripe}
	owner, epoch := h.ownerOf(p.Stripe)
	if owner == "" {
		return r
	}
	host, _ := l.Host(owner)
	r.Host, r.NATS, r.HTTP, r.Adama, r.Epoch = owner, host.NATS, host.HTTP, host.Adama, epoch.String()
	r.Here = owner == h.Config.Host
	return r
}

// ownerOf is the host that serves a stripe, as far as is known here.
func (h *Host) ownerOf(stripe string) (host string, epoch position.Position) {
	if s := h.stripe(stripe); s != nil {
		if epoch, serving := s.Epoch(); serving {
			return h.Config.Host, epoch
		}
	}
	if h.cluster == nil {
		return "", position.Position{}
	}
	host, epoch = h.cluster.peers.Owner(stripe)
	if host == h.Config.Host { // it has just ceased to be
		return "", position.Position{}
	}
	return host, epoch
}
