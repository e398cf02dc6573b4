package repair

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"trireme/buckets"
	"trireme/internal/layout"
)

// scrubs is what the scrub is at.
type scrubs struct {
	turn lock // held by the scrub that reads: the slow one for a bucket, one that was asked for to its end

	mu     sync.Mutex
	is     keptScrub
	asked  *ScrubProgress // of one that was asked for, while it runs
	last   *ScrubResult   // of one that was asked for
	begins int            // buckets of the pass, as of the last look
	dirty  bool
}

func newScrubs(is keptScrub) *scrubs { return &scrubs{is: is, turn: newLock()} }

func (s *scrubs) edit(do func(*keptScrub)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do(&s.is)
	s.dirty = true
}

func (s *scrubs) moved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirty
}

func (s *scrubs) keep() keptScrub {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = false
	return s.is
}

func (s *scrubs) now() keptScrub {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.is
}

// maxFindings bounds what one result tells of in words.
const maxFindings = 1000

// A scrubbing re-reads buckets and has repaired what is damaged.
type scrubbing struct {
	r      *Repairer
	result ScrubResult
}

// A scrubBucket is a bucket to re-read.
type scrubBucket struct {
	stripe *Stripe
	bucket layout.Bucket
}

// toScrub are the buckets of the healthy stripes in a scope, in order. A sick stripe is
// compared in full while it heals.
func (r *Repairer) toScrub(scope Scope) ([]scrubBucket, error) {
	stripes, err := r.within(scope)
	if err != nil {
		return nil, err
	}
	var list []scrubBucket
	for i := range stripes {
		s := &stripes[i].Stripe
		if s.Sick != "" {
			continue
		}
		for _, p := range s.Partitions {
			for b := p.First; ; b++ {
				list = append(list, scrubBucket{s, b})
				if b == p.Last {
					break
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b scrubBucket) int { return int(a.bucket) - int(b.bucket) })
	return list, nil
}

// Scrub re-reads a part of the store now, and has repaired what is damaged. progress,
// unless nil, is called as it goes on. It fails with [ErrPaused] during a pause; one that
// begins meanwhile is waited for.
func (r *Repairer) Scrub(ctx context.Context, scope Scope, progress func(ScrubProgress)) (ScrubResult, error) {
	if err := r.throttle.paused(); err != nil {
		return ScrubResult{}, err
	}
	return joined(ctx, r, func(ctx context.Context) (ScrubResult, error) {
		if err := r.scrubs.turn.lock(ctx); err != nil {
			return ScrubResult{}, err
		}
		defer r.scrubs.turn.unlock()
		now := time.Now()
		s := &scrubbing{r: r, result: ScrubResult{ScrubProgress: ScrubProgress{Began: &now}, Findings: []ScrubFinding{}}}
		err := s.run(ctx, scope, func() {
			is := s.result.ScrubProgress
			r.scrubs.mu.Lock()
			r.scrubs.asked = &is
			r.scrubs.mu.Unlock()
			if progress != nil {
				progress(is)
			}
		})
		r.scrubs.mu.Lock()
		r.scrubs.asked, r.scrubs.last = nil, &s.result
		r.scrubs.mu.Unlock()
		r.tell(ScrubEnded{ScrubResult: s.result, Err: err})
		return s.result, err
	})
}

func (s *scrubbing) run(ctx context.Context, scope Scope, progress func()) error {
	list, err := s.r.toScrub(scope)
	if err != nil {
		return err
	}
	s.result.Buckets = len(list)
	began := time.Now()
	for _, one := range list {
		if err := s.r.throttle.awaken(ctx); err != nil {
			return err
		}
		worked := time.Now()
		if err := s.bucket(ctx, one); err != nil {
			return err
		}
		s.result.Read++
		s.result.ETA = etaOf(began, s.result.Read, s.result.Buckets)
		progress()
		if err := s.r.throttle.rest(ctx, time.Since(worked)); err != nil {
			return err
		}
	}
	if scope != (Scope{}) {
		return nil
	}
	if err := s.names(ctx); err != nil {
		return err
	}
	return s.files(ctx, func(int) time.Duration { return 0 })
}

func etaOf(began time.Time, done, all int) *time.Time {
	if done == 0 {
		return nil
	}
	now := time.Now()
	eta := now.Add(time.Duration(float64(now.Sub(began)) / float64(done) * float64(all-done))).UTC()
	return &eta
}

// bucket re-reads one bucket. What it finds is repaired at once, or in a later round.
func (s *scrubbing) bucket(ctx context.Context, one scrubBucket) error {
	var check buckets.CheckResult
	var err error
	s.r.cpu.do(func() { check, err = one.stripe.Replica.CheckBucket(one.bucket) })
	if err != nil {
		return s.unread(ctx, fmt.Errorf("re-read bucket %v: %w", one.bucket, err))
	}
	s.r.count.add(func(c *Counters) { c.ScrubBytes += uint64(check.Bytes) })
	s.result.Documents += uint64(check.Documents)
	s.result.Bytes += uint64(check.Bytes)
	s.result.Mended += uint64(check.Mended)
	return s.findings(ctx, one.stripe, check.Damaged)
}

// unread deals with rows that the database could not read: where that is a damaged file,
// it is cut out, and the healing of the stripe goes through what is left.
func (s *scrubbing) unread(ctx context.Context, err error) error {
	if !s.r.Store.Corrupt() {
		return ofStore(err)
	}
	return s.r.quarantine(ctx)
}

func (s *scrubbing) findings(ctx context.Context, stripe *Stripe, damaged []buckets.Damage) error {
	for _, d := range damaged {
		s.result.Damaged++
		s.r.tell(ScrubFound{Stripe: stripe.Name, Key: d.Key, Why: d.Why})
		f := ScrubFinding{Space: d.Key.Space, Key: d.Key.Key, Why: d.Why}
		var err error
		s.r.cpu.do(func() { f.From, err = s.r.mendOne(ctx, stripe, d.Key, ForCorruption, false) })
		if err != nil && fatal(ctx, err) && s.r.throttle.paused() == nil {
			return causeOf(ctx, err)
		}
		f.Repaired = err == nil
		if len(s.result.Findings) < maxFindings {
			s.result.Findings = append(s.result.Findings, f)
		}
	}
	return nil
}

// namesPage is how many names are compared at once.
const namesPage = 1000

// names compares the lists of names with the documents.
func (s *scrubbing) names(ctx context.Context) error {
	stripes, err := s.r.within(Scope{})
	if err != nil {
		return err
	}
	after := ""
	for {
		if err := s.r.throttle.awaken(ctx); err != nil {
			return err
		}
		began := time.Now()
		page, err := s.r.Store.CheckNames(after, namesPage)
		if err != nil {
			return s.unread(ctx, fmt.Errorf("re-read names: %w", err))
		}
		s.result.Mended += uint64(page.Mended)
		for _, d := range page.Damaged {
			if stripe := stripeWith(stripes, layout.BucketOf(d.Key.Space, d.Key.Key)); stripe != nil && stripe.Sick == "" {
				if err := s.findings(ctx, stripe, []buckets.Damage{d}); err != nil {
					return err
				}
			}
		}
		if !page.More {
			return nil
		}
		after = page.Next
		if err := s.r.throttle.rest(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// files re-reads the database's files, resting after each read for as long as pace
// tells, and cuts out of the store what the database cannot read.
func (s *scrubbing) files(ctx context.Context, pace func(bytes int) time.Duration) error {
	worked := time.Now()
	err := s.r.Store.CheckFiles(ctx, func(bytes int) error {
		s.r.count.add(func(c *Counters) { c.ScrubBytes += uint64(bytes) })
		if err := s.r.throttle.awaken(ctx); err != nil {
			return err
		}
		err := s.r.throttle.rest(ctx, time.Since(worked))
		if err == nil {
			err = sleep(ctx, pace(bytes))
		}
		worked = time.Now()
		return err
	})
	if err != nil {
		return causeOf(ctx, ofStore(fmt.Errorf("re-read the files: %w", err)))
	}
	return s.r.quarantine(ctx)
}

// quarantine cuts out of the store what the database cannot read. The stripes that have
// lost rows by that are sick from then on.
func (r *Repairer) quarantine(ctx context.Context) error {
	if !r.Store.Corrupt() {
		return nil
	}
	losses, err := r.Store.Quarantine(ctx)
	for _, l := range losses {
		r.tell(Quarantined{Loss: l})
	}
	if len(losses) > 0 {
		r.Look()
	}
	if err != nil {
		return causeOf(ctx, ofStore(fmt.Errorf("cut out what cannot be read: %w", err)))
	}
	return nil
}
