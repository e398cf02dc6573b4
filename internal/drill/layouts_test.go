package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trireme/internal/layout"
	"trireme/internal/layoutfile"
	"trireme/internal/localcluster"
	"trireme/ops"
)

// TestDrillLayouts gives hosts layouts that are older, invalid, half-written, not
// there, and not the same for all, under load. No stripe ever has two owners, clients
// hear nothing of it, and every host says what is wrong.
func TestDrillLayouts(t *testing.T) {
	beside(t)
	c := newCluster(t)
	first := layoutOf(c)
	source := newSource(t, c, first)
	c.start()
	w := startTraffic(c, quiet())
	w.awaitAcked(50)

	second := following(first, func(l *layout.Layout) {
		l.Hosts[0].Adama = "127.0.0.1:8080"
		slices.Reverse(l.Stripes[0].Hosts)
	})
	source.all(layoutfile.Format(second))
	c.runAll(second, "")
	w.awaitAcked(50)

	third := following(second, func(l *layout.Layout) { l.Hosts[0].Adama = "127.0.0.1:8081" })
	text := string(layoutfile.Format(third))
	source.all(layoutfile.Format(first))
	c.runAll(second, "layout-older", "1", "2")
	source.all([]byte(strings.Replace(text, "replicas: 3", "replicas: 2", 1)))
	c.runAll(second, "layout-invalid", "replicas", "2")
	source.all([]byte(text[:len(text)*2/3]))
	c.runAll(second, "layout-invalid")
	source.all([]byte("<html>502 Bad Gateway</html>"))
	c.runAll(second, "layout-invalid")
	moved := following(second, func(l *layout.Layout) { l.Partitions[0].Stripe = l.Partitions[1].Stripe })
	source.all(layoutfile.Format(moved))
	c.runAll(second, "layout-refused")
	source.stop()
	c.runAll(second, "layout-unreachable")
	w.awaitAcked(50)

	// A host that comes back finds no source, and goes on with what was agreed on.
	h := c.Hosts[1]
	c.must(h.Kill())
	c.must(h.Start())
	c.ready()
	c.runAll(second, "layout-unreachable")
	w.awaitAcked(50)

	// Half of the hosts are given another layout of the same version.
	other := following(second, func(l *layout.Layout) { slices.Reverse(l.Stripes[1].Hosts) })
	source.all(layoutfile.Format(third))
	source.one(c.Hosts[2].Name, layoutfile.Format(other))
	source.start()
	c.agreed(map[string]layout.Layout{c.Hosts[0].Name: third, c.Hosts[1].Name: third, c.Hosts[2].Name: other})
	w.awaitAcked(50)

	last := following(third, func(l *layout.Layout) { l.Hosts[0].Adama = "127.0.0.1:8082" })
	source.all(layoutfile.Format(last))
	c.runAll(last, "")
	w.awaitAcked(50)
	w.stop()
	w.noErrors()
	v := w.conclude(c)
	t.Logf("%s; %s", w.summary(), v)
}

// following is the next version of a layout.
func following(l layout.Layout, change func(*layout.Layout)) layout.Layout {
	next := l
	next.Version++
	next.Hosts, next.Stripes, next.Partitions = slices.Clone(l.Hosts), slices.Clone(l.Stripes), slices.Clone(l.Partitions)
	for i := range next.Stripes {
		next.Stripes[i].Hosts = slices.Clone(l.Stripes[i].Hosts)
	}
	change(&next)
	return next
}

// A source is where hosts read their layout, each its own.
type source struct {
	t       testing.TB
	address string
	server  *http.Server
	wait    sync.WaitGroup

	mu    sync.Mutex
	texts map[string][]byte
}

// newSource sends the hosts of a cluster there; they read it often.
func newSource(t testing.TB, c *cluster, l layout.Layout) *source {
	t.Helper()
	at, err := localcluster.FreeAddresses(1)
	c.must(err)
	s := &source{t: t, address: at[0], texts: map[string][]byte{}}
	for _, h := range c.Hosts {
		s.texts[h.Name] = layoutfile.Format(l)
		c.must(h.Configure(fmt.Sprintf("layout: %q", "http://"+s.address+"/"+h.Name)))
		c.must(h.Set("cluster", "poll", "200ms"))
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *source) start() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.wait.Go(func() { _ = s.server.Serve(listener) }) // it ends with Close
}

func (s *source) stop() {
	_ = s.server.Close() // nothing is lost
	s.wait.Wait()
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = w.Write(s.texts[strings.TrimPrefix(r.URL.Path, "/")]) // a host that is gone needs none
}

func (s *source) all(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.texts {
		s.texts[name] = text
	}
}

func (s *source) one(name string, text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[name] = text
}

// status is all that a host tells of itself.
func status(ctx context.Context, h *localcluster.Host) (s ops.Status, err error) {
	_, body, err := h.Get(ctx, "/status")
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, err
}

// runAll waits until every host runs a layout, and says what is wrong with its source,
// in words that name certain things; "" for nothing.
func (c *cluster) runAll(want layout.Layout, condition string, names ...string) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.Await(ctx, fmt.Sprintf("hosts with layout %d and condition %q", want.Version, condition), func(ctx context.Context) error {
		var errs []error
		for _, h := range c.Hosts {
			s, err := status(ctx, h)
			if err == nil && (s.Layout != want.Version || s.LayoutDigest != want.Digest()) {
				err = fmt.Errorf("it runs layout %d of digest %s, want %s", s.Layout, s.LayoutDigest, want.Digest())
			}
			if err == nil {
				err = says(s.Conditions, condition, names)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", h.Name, err))
			}
		}
		return errors.Join(errs...)
	}))
}

// says looks for a condition of the layout, and for none else.
func says(all []ops.Condition, id string, names []string) error {
	found := id == ""
	for _, c := range all {
		switch {
		case !strings.HasPrefix(c.ID, "layout-") || c.ID == "layout-differs":
		case c.ID != id:
			return fmt.Errorf("it tells %s: %s", c.ID, c.Text)
		default:
			found = true
			for _, name := range names {
				if !strings.Contains(c.Text, name) {
					return fmt.Errorf("%s does not name %q: %s", c.ID, name, c.Text)
				}
			}
			if c.Remedy == "" {
				return fmt.Errorf("%s has no remedy", c.ID)
			}
		}
	}
	if !found {
		return fmt.Errorf("it does not tell %s", id)
	}
	return nil
}

// agreed waits until all hosts run the same of two layouts of one version, and those
// that were given the other one say so.
func (c *cluster) agreed(given map[string]layout.Layout) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	c.must(c.Await(ctx, "hosts that agree, and tell of the conflict", func(ctx context.Context) error {
		var running []string
		for _, h := range c.Hosts {
			s, err := status(ctx, h)
			if err != nil {
				return err
			}
			want := given[h.Name]
			if s.Layout == want.Version {
				running = append(running, s.LayoutDigest)
			}
			condition := ""
			if s.LayoutDigest != want.Digest() {
				condition = "layout-conflict"
			}
			if err := says(s.Conditions, condition, nil); err != nil {
				return fmt.Errorf("%s, which runs layout %d of digest %s: %w", h.Name, s.Layout, s.LayoutDigest, err)
			}
		}
		if len(running) == 0 {
			return errors.New("nobody runs the new version")
		}
		if len(slices.Compact(running)) > 1 {
			c.t.Fatalf("hosts run different layouts of one version: %v", running)
		}
		return nil
	}))
}
