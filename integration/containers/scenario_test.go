package containers

import (
	"fmt"
	"testing"
	"time"
)

// A scenario is something that happens to a cluster while clients work on it.
type scenario struct {
	name string
	play func(c *cluster, l *load)

	// refusals says that clients may be told that something did not happen, as
	// while there is no quorum. Else a fault is a pause for them, and not an error.
	refusals bool
}

// playAll plays scenarios one after another, on one cluster. Each of them must leave
// every acknowledged change in its document exactly once, and three hosts that are
// well and the same.
func playAll(t *testing.T, all []scenario) {
	t.Helper()
	if suite.engine == nil {
		for _, s := range all {
			t.Run(s.name, func(t *testing.T) { needsEngine(t) })
		}
		return
	}
	t.Parallel()
	takeTurn(t)
	c := startCluster(t, suite.engine, presentVersion)
	for _, s := range all {
		played := t.Run(s.name, func(t *testing.T) {
			needsEngine(t)
			c.T = t
			defer func() { c.T = c.life }()
			t.Cleanup(c.showLogs)
			c.play(s)
		})
		if !played {
			t.Fatalf("%s failed: nothing more can be told of this cluster", s.name)
		}
	}
}

func (c *cluster) play(s scenario) {
	c.Helper()
	began := time.Now()
	c.awaitWell()
	l := c.startLoad(s)
	l.awaitProgress()
	s.play(c, l)
	c.awaitWell()
	l.awaitProgress()
	l.stop()
	if !s.refusals {
		l.mustNotHaveFailed()
	}
	c.past = append(c.past, l.docs...)
	found := c.audit()
	c.verify()
	line := fmt.Sprintf("%-42s %5.1f s: %s; longest request %.2f s; %s", s.name, time.Since(began).Seconds(), l, l.longest().Seconds(), found)
	c.Log(line)
	suite.tell(line)
}
