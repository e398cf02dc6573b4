package layoutfile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"trireme/internal/layout"
)

// DefaultInterval is how often a [Source] looks when it does not say.
const DefaultInterval = 5 * time.Second

// fetchLimit bounds one attempt to read a URL.
const fetchLimit = 10 * time.Second

// A Source is a file or an http(s) URL that holds a layout. Set the fields before the
// first call.
type Source struct {
	Location string        // path or URL
	Interval time.Duration // how often [Source.Watch] looks; 0 for [DefaultInterval]

	once   sync.Once
	wake   chan struct{}
	client *http.Client
}

func (s *Source) init() {
	s.once.Do(func() {
		s.wake = make(chan struct{}, 1)
		// A connection of its own for every look: they are far apart.
		s.client = &http.Client{Timeout: fetchLimit, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		}}
	})
}

// Read reads the layout now. The error is [ErrUnreachable], or [ErrInvalid] with
// every fault.
func (s *Source) Read(ctx context.Context) (layout.Layout, error) {
	text, err := s.fetch(ctx)
	return s.parsed(text, err)
}

// Check makes [Source.Watch] look at once. It does not wait for that.
func (s *Source) Check() {
	s.init()
	select {
	case s.wake <- struct{}{}:
	default: // it is about to look
	}
}

// Watch looks at once, then every interval and on [Source.Check], until ctx ends. It
// tells what it has found the first time, and then whenever the bytes or the reason
// why there are none have changed. heard runs on the goroutine of Watch.
func (s *Source) Watch(ctx context.Context, heard func(layout.Layout, error)) {
	s.init()
	interval := s.Interval
	if interval <= 0 {
		interval = DefaultInterval
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last string
	for {
		text, err := s.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		if now := told(text, err); now != last {
			last = now
			heard(s.parsed(text, err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
		}
	}
}

func (s *Source) parsed(text []byte, err error) (layout.Layout, error) {
	if err != nil {
		return layout.Layout{}, err
	}
	return Parse(s.name(), text)
}

// told tells findings apart. Of an error it takes the innermost: those around it name
// the ports of each attempt.
func told(text []byte, err error) string {
	if err == nil {
		return fmt.Sprintf("%x", sha256.Sum256(text))
	}
	for {
		inner := errors.Unwrap(err)
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			inner = joined.Unwrap()[len(joined.Unwrap())-1]
		}
		if inner == nil {
			return "error: " + err.Error()
		}
		err = inner
	}
}

// IsURL tells whether a location is a URL, and else a file.
func IsURL(location string) bool {
	return strings.HasPrefix(location, "http://") || strings.HasPrefix(location, "https://")
}

// name is the location as it may be shown.
func (s *Source) name() string {
	if u, err := url.Parse(s.Location); err == nil && IsURL(s.Location) {
		return u.Redacted()
	}
	return s.Location
}

func (s *Source) fetch(ctx context.Context) ([]byte, error) {
	if !IsURL(s.Location) {
		return readFile(s.Location)
	}
	s.init()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Location, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, fmt.Errorf("GET %s: %s", s.name(), resp.Status))
	}
	text, err := readAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%w (GET %s)", err, s.name())
	}
	return text, nil
}
