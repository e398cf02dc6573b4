package drill

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"trireme/internal/layout"
	"trireme/internal/layoutfile"
	"trireme/repair"
)

// operatorFaults are what operators do, and too much of it.
func operatorFaults() []fault {
	return []fault{
		{
			name: "hand-over every 2 s", what: "every 2 s, ten times, a stripe is handed to another host",
			strike: func(x *strike) {
				operator := x.operator()
				for i := range 10 {
					next := time.Now().Add(2 * time.Second)
					from, stripe, to := x.somewhereElse(operator, x.n*10+i)
					x.told(operator.Move(x.t.Context(), from, stripe, to))
					wait(time.Until(next))
				}
			},
		},
		{
			name: "layout changes", what: "every 2 s, ten times, hosts are given a new layout in which stripes prefer other owners; in the middle a host is killed, and started again 4 s later",
			before: func(x *strike) {
				x.given = layoutOf(x.cluster)
				x.source = newSource(x.t, x.cluster, x.given)
			},
			strike: func(x *strike) {
				h := x.victim()
				for i := range 10 {
					next := time.Now().Add(2 * time.Second)
					x.given = following(x.given, rotateOwners)
					x.source.all(layoutfile.Format(x.given))
					switch i {
					case 4:
						x.must(h.Kill())
					case 6:
						x.must(h.Start())
					}
					wait(time.Until(next))
				}
				x.runAll(x.given, "")
			},
		},
		{
			name: "rolling upgrade", what: "one host after the other is stopped in order and started with another build of the program",
			loaded: func(x *strike) { x.builds = []string{x.anotherBuild(), program} },
			strike: func(x *strike) {
				for _, h := range x.Hosts {
					x.stopHost(h)
					h.Program = x.builds[x.n%len(x.builds)]
					x.must(h.Start())
					x.ready()
				}
			},
		},
		{
			name: "repair storm", what: "every host compares everything, and re-reads its disk, again and again, while hosts are killed",
			loaded: func(x *strike) { x.fill("fill", 200, 4000) },
			strike: func(x *strike) {
				ctx, end := context.WithCancel(x.t.Context())
				var storm sync.WaitGroup
				for _, h := range x.Hosts {
					operator := x.operator()
					storm.Go(func() {
						for ctx.Err() == nil {
							// It fails while the host is down, which is what this is about.
							_, _ = operator.BeginRun(ctx, h.Name, repair.Scope{})
							_, _ = operator.BeginScrub(ctx, h.Name, repair.Scope{})
							wait(100 * time.Millisecond)
						}
					})
				}
				h := x.victim()
				x.must(h.Kill())
				wait(5 * time.Second)
				x.must(h.Start())
				x.ready()
				wait(5 * time.Second)
				end()
				storm.Wait()
			},
		},
	}
}

// rotateOwners has every stripe prefer the host that came second.
func rotateOwners(l *layout.Layout) {
	for _, s := range l.Stripes {
		first := s.Hosts[0]
		copy(s.Hosts, s.Hosts[1:])
		s.Hosts[len(s.Hosts)-1] = first
	}
}

// anotherBuild builds the program with another version.
func (x *strike) anotherBuild() string {
	x.t.Helper()
	out := filepath.Join(x.Dir, "trireme-next")
	x.must(build(out, "-ldflags", "-X main.version=next"))
	return out
}
