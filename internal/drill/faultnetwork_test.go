package drill

import (
	"time"

	"trireme/internal/localcluster"
)

// cutFor is how long a network stays broken: longer than an election takes.
func cutFor() time.Duration {
	if long() {
		return 20 * time.Second
	}
	return 12 * time.Second
}

// networkFaults break the network between hosts, or between a host and its clients. In
// the first case all hosts are reached by their clients, whose requests end in errors at a
// host that nobody hears.
func networkFaults() []fault {
	// lost are the frames that do not arrive, by sender and receiver.
	lose := func(lost func(x *strike) func(from, to string) bool) func(*strike) {
		return func(x *strike) {
			x.Routes.Lose(lost(x))
			wait(cutFor())
			x.Routes.Heal()
		}
	}
	return []fault{
		{
			name: "owner isolated", what: "an owner hears no other host, and is heard by none; its clients reach it", outage: true,
			strike: func(x *strike) {
				x.Routes.Isolate(x.owner().Name)
				wait(cutFor())
				x.Routes.Heal()
			},
		},
		{
			name: "nobody hears anybody", what: "no host hears another one", outage: true,
			strike: lose(func(*strike) func(string, string) bool { return func(from, to string) bool { return from != to } }),
		},
		{
			name: "one way, out", what: "an owner hears the others, and they do not hear it", outage: true, short: true,
			strike: lose(func(x *strike) func(string, string) bool {
				mute := x.owner().Name
				return func(from, _ string) bool { return from == mute }
			}),
		},
		{
			name: "one way, in", what: "the others hear an owner, and it does not hear them", outage: true,
			strike: lose(func(x *strike) func(string, string) bool {
				deaf := x.owner().Name
				return func(_, to string) bool { return to == deaf }
			}),
		},
		{
			name: "ring, one way", what: "each host hears only the one before it in a ring", outage: true,
			strike: lose(func(x *strike) func(string, string) bool {
				next := map[string]string{}
				for i, h := range x.Hosts {
					next[h.Name] = x.Hosts[(i+1)%len(x.Hosts)].Name
				}
				return func(from, to string) bool { return next[from] != to }
			}),
		},
		{
			name: "bridge", what: "two hosts do not hear one another, and the third hears both and is heard", outage: true,
			strike: lose(func(x *strike) func(string, string) bool {
				bridge := x.victim().Name
				return func(from, to string) bool { return from != bridge && to != bridge }
			}),
		},
		{
			name: "owner cut off from its clients", what: "the other hosts hear an owner, and clients that are connected to it hear nothing, and are not heard",
			before: (*strike).front,
			strike: func(x *strike) {
				front := x.fronts[x.owner().Name]
				front.Filter(func(*localcluster.Frame) localcluster.Verdict { return localcluster.Drop })
				wait(cutFor())
				front.Filter(nil)
				front.CutLossy()
			},
		},
		{
			name: "slow network", what: "everything between hosts arrives 100 ms late",
			strike: func(x *strike) {
				x.Routes.Delay(100 * time.Millisecond)
				wait(cutFor())
				x.Routes.Delay(0)
			},
		},
	}
}

// front puts a proxy between the clients of the load and each host.
func (x *strike) front() {
	x.t.Helper()
	x.fronts = map[string]*localcluster.Proxy{}
	for _, h := range x.Hosts {
		p := &localcluster.Proxy{Name: h.Name, Listen: "127.0.0.1:0", Target: h.NATS}
		x.must(p.Start())
		x.t.Cleanup(func() {
			if err := p.Close(); err != nil {
				x.t.Error(err)
			}
		})
		x.fronts[h.Name] = p
	}
}
