package repair

import (
	"errors"
	"fmt"
	"time"
)

// Config says how eagerly a [Repairer] works. Zero values stand for the defaults.
type Config struct {
	// Interval is the time between two rounds; each is up to a fifth shorter or longer,
	// so that hosts do not ask in step. 30 s when zero.
	Interval time.Duration
	// BucketTimeout bounds the comparison of the documents of one bucket with one peer,
	// and how long a pull may bring nothing; waiting for the rate does not count. After it
	// another peer is asked. 60 s when zero.
	BucketTimeout time.Duration
	// MendTimeout bounds the repair of a document for which a request waits. 5 s when zero.
	MendTimeout time.Duration
	// HealRetry is the pause after a healing that failed. 2 s when zero.
	HealRetry time.Duration
	// Parallel is how many buckets are compared and pulled at a time from the one peer
	// that is pulled from. 4 when zero.
	Parallel int
	// Rate bounds what is pulled, in bytes of images a second, until it is set by
	// [Repairer.SetRate]. No bound when zero.
	Rate int64
	// Tranquility is how long background work rests after each piece of work, in
	// multiples of what the piece took: 1 takes half of the time, 0 all of it. Requests
	// that wait are not slowed down. 0 when zero.
	Tranquility float64
	// ScrubEvery is the time in which the scrub reads the whole store once. 14 days when
	// zero; no scrub by itself when negative.
	ScrubEvery time.Duration
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value *time.Duration
		is    time.Duration
	}{
		{&c.Interval, 30 * time.Second},
		{&c.BucketTimeout, time.Minute},
		{&c.MendTimeout, 5 * time.Second},
		{&c.HealRetry, 2 * time.Second},
		{&c.ScrubEvery, 14 * 24 * time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.is
		}
	}
	if c.Parallel == 0 {
		c.Parallel = 4
	}
	return c
}

// Validate names every field that cannot be.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"interval", c.Interval},
		{"bucket timeout", c.BucketTimeout},
		{"mend timeout", c.MendTimeout},
		{"heal retry", c.HealRetry},
	} {
		if d.value < 0 {
			errs = append(errs, fmt.Errorf("repair: %s is %v: want 0 for the default, or more", d.name, d.value))
		}
	}
	if c.Parallel < 0 || c.Parallel > 64 {
		errs = append(errs, fmt.Errorf("repair: parallel is %d: want 0 for the default, or 1 to 64", c.Parallel))
	}
	if c.Rate < 0 {
		errs = append(errs, fmt.Errorf("repair: rate is %d bytes/s: want 0 for no bound, or more", c.Rate))
	}
	if err := checkTranquility(c.Tranquility); err != nil {
		errs = append(errs, fmt.Errorf("repair: %w", err))
	}
	return errors.Join(errs...)
}
