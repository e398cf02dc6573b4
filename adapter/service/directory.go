package service

import (
	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// A Directory is what is known of the other hosts. It may lag: requests are
// answered truly whatever it says, and sooner when it is right.
type Directory interface {
	// Owner names the host that serves the stripe as far as is known ("" for
	// none), and its epoch.
	Owner(stripe string) (host string, epoch position.Position)
	// Quorum tells whether enough members of the stripe are in reach for its log
	// to commit.
	Quorum(stripe string) bool
	// Changed is closed when an owner has changed since the call.
	Changed() <-chan struct{}
}

// serving reports whether this host serves the stripe. One that stands alone
// always does: while it cannot, requests wait in its owner's queue.
func (s *Service) serving(stripe string) (Committer, bool) {
	c := s.Committer(stripe)
	if c == nil || s.Directory == nil {
		return c, c != nil
	}
	_, ok := c.Epoch()
	return c, ok
}

// owner names the host that serves a stripe, as far as is known here.
func (s *Service) owner(stripe string) (host string, epoch position.Position) {
	if c := s.Committer(stripe); c != nil {
		if epoch, serving := c.Epoch(); serving {
			return s.Host, epoch
		}
	}
	if s.Directory == nil {
		return "", position.Position{}
	}
	if host, epoch = s.Directory.Owner(stripe); host == s.Host {
		return "", position.Position{} // it has just ceased to be
	}
	return host, epoch
}

// partition finds the partition of a document.
func (s *Service) partition(k contract.Key) (layout.Partition, bool) {
	return s.Layout().PartitionOf(layout.BucketOf(k.Space, k.Key))
}

// away says why a request of a stripe could not be answered within the hold, for
// one that has not happened.
func (s *Service) away(stripe string) error {
	if s.Directory == nil || !s.Directory.Quorum(stripe) {
		return contract.Errorf(contract.NoQuorum, "nothing could be committed within %v", s.Hold)
	}
	if _, serving := s.serving(stripe); serving {
		return contract.Errorf(contract.NoQuorum, "nothing could be committed within %v", s.Hold)
	}
	if owner, _ := s.Directory.Owner(stripe); owner != "" {
		return contract.Errorf(contract.NoOwner, "host %s, which owns stripe %s as far as is known, has not answered within %v", owner, stripe, s.Hold)
	}
	return contract.Errorf(contract.NoOwner, "stripe %s has had no owner for %v", stripe, s.Hold)
}

// replica finds the stripe of a document, if this host has a replica of it.
func (s *Service) replica(k contract.Key) (Committer, bool) {
	p, ok := s.partition(k)
	if !ok {
		return nil, false
	}
	c := s.Committer(p.Stripe)
	return c, c != nil
}

// answersHere says whether a read of the replica that is asked is for this one:
// when it was named, or when it has one.
func (s *Service) answersHere(r *request) bool {
	_, ok := s.replica(r.key)
	return ok || r.came != toAny || s.Directory == nil
}
