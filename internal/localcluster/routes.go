package localcluster

import (
	"errors"
	"net"
	"strconv"
	"time"
)

// Routes are the proxies in front of the hosts' routes: a frame's From and To are
// names of hosts.
type Routes struct {
	proxies []*Proxy
}

// stand puts a proxy where the layout says that the others reach a host, and lets the
// host listen behind it.
func (c *Cluster) stand(base int) (*Routes, error) {
	r := &Routes{}
	for i, h := range c.Hosts {
		port := strconv.Itoa(base + routePorts + i + 1)
		listen := net.JoinHostPort(behind, port)
		if err := h.Set("cluster", "listen", strconv.Quote(listen)); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		p := &Proxy{Name: h.Name, Listen: net.JoinHostPort(loopback, port), Target: listen}
		if err := p.Start(); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.proxies = append(r.proxies, p)
	}
	return r, nil
}

// Filter judges what the hosts send one another, see [Proxy.Filter].
func (r *Routes) Filter(f Filter) {
	for _, p := range r.proxies {
		p.Filter(f)
	}
}

// Delay makes what the hosts send one another from now on arrive so much later.
func (r *Routes) Delay(d time.Duration) {
	for _, p := range r.proxies {
		p.Delay(d)
	}
}

// Isolate cuts hosts off from the others, without a word: nothing arrives, and nobody
// is told. [Routes.Heal] ends it.
func (r *Routes) Isolate(names ...string) {
	cut := map[string]bool{}
	for _, name := range names {
		cut[name] = true
	}
	r.Lose(func(from, to string) bool { return cut[from] != cut[to] })
}

// Lose has what hosts send one another not arrive, without a word, as lost tells of
// sender and receiver. [Routes.Heal] ends it.
func (r *Routes) Lose(lost func(from, to string) bool) {
	r.Filter(func(f *Frame) Verdict {
		if f.From != "" && f.To != "" && lost(f.From, f.To) {
			return Drop
		}
		return Pass
	})
}

// Heal passes everything, what was held first, and closes the connections that have
// lost something.
func (r *Routes) Heal() {
	r.Filter(nil)
	for _, p := range r.proxies {
		p.CutLossy()
	}
}

// Held is how many frames are held.
func (r *Routes) Held() int {
	n := 0
	for _, p := range r.proxies {
		n += p.Held()
	}
	return n
}

// Close closes the proxies.
func (r *Routes) Close() error {
	var errs []error
	for _, p := range r.proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
