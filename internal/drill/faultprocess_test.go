package drill

import (
	"math/rand/v2"
	"time"
)

// processFaults end and stop the hosts' processes.
func processFaults() []fault {
	return []fault{
		{
			name: "kill at 1 Hz", what: "every second, for ten, a random host is killed (SIGKILL) and started again at once", outage: true,
			strike: func(x *strike) {
				for range 10 {
					h := x.Hosts[rand.IntN(len(x.Hosts))]
					next := time.Now().Add(time.Second)
					x.must(h.Kill())
					x.must(h.Start())
					wait(time.Until(next))
				}
			},
		},
		{
			name: "owner killed", what: "an owner is killed (SIGKILL) and started again after 5 s",
			strike: func(x *strike) {
				h := x.owner()
				x.must(h.Kill())
				wait(5 * time.Second)
				x.must(h.Start())
			},
		},
		{
			name: "stop and continue", what: "a random host stands still (SIGSTOP) for 1 to 15 s, and goes on as if nothing were",
			strike: func(x *strike) {
				h := x.Hosts[rand.IntN(len(x.Hosts))]
				x.must(h.Freeze())
				wait(time.Second + rand.N(14*time.Second))
				x.must(h.Thaw())
			},
		},
		{
			name: "owner standing still, asked", what: "an owner stands still for 12 s and is asked for changes all the while; another host takes over; then it goes on, and answers",
			strike: func(x *strike) {
				f := &freeze{cluster: x.cluster, traffic: x.w, n: x.n, length: 12 * time.Second}
				f.run()
			},
		},
		{
			name: "all killed at once", what: "all hosts are killed at one moment and started again", outage: true, short: true,
			strike: func(x *strike) {
				x.killAll(x.Hosts...)
				x.startAll(x.Hosts...)
			},
		},
		{
			name: "all killed, one stays away", what: "all hosts are killed at one moment; two come back at once, and must serve; the third comes after 15 s", outage: true,
			strike: func(x *strike) {
				x.killAll(x.Hosts...)
				late := x.victim()
				x.startAll(x.others(late)...)
				x.ready()
				x.w.awaitAcked(50)
				wait(15 * time.Second)
				x.startAll(late)
			},
		},
		{
			name: "two of three killed", what: "two hosts are killed at one moment under load with 40 MB of log, and come back after 5 s (as in nats-server issue 8519)", outage: true,
			loaded: func(x *strike) { x.fill("large", 2000, 20_000) },
			strike: func(x *strike) {
				dead := x.others(x.victim())
				x.killAll(dead...)
				wait(5 * time.Second)
				x.startAll(dead...)
			},
		},
		{
			name: "pause, then kill", what: "a follower stands still while changes go on, the owner is cut off and killed, the follower goes on with the third host, the owner comes back (the sequence of nats-server issue 7567)", outage: true,
			strike: func(x *strike) {
				owner := x.owner()
				follower := x.others(owner)[0]
				x.must(follower.Freeze())
				x.w.awaitAcked(50)
				x.Routes.Isolate(owner.Name)
				x.must(owner.Kill())
				x.must(follower.Thaw())
				x.Routes.Heal()
				wait(10 * time.Second)
				x.must(owner.Start())
			},
		},
	}
}
