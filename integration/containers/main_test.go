package containers

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	tclog "github.com/testcontainers/testcontainers-go/log"
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

// A tally counts the tests of this package that need an engine.
type tally struct {
	ran, skipped atomic.Int64

	mu    sync.Mutex
	lines []string // what scenarios tell of themselves
}

// tell notes a line for the end of the run, where it is seen without -v.
func (s *tally) tell(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

// suite is this run. TestMain fills it, before any test.
var suite struct {
	tally

	engine  *engine
	without error // why there is no engine
}

func runAll(m *testing.M) int {
	flag.Parse()
	// Ryuk, which cleans up for testcontainers, is an image that would have to be
	// pulled. The configuration is read at the first call.
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tclog.SetDefault(tclog.NewNoopLogger())
	suite.engine, suite.without = findEngine()
	code := m.Run()
	if suite.engine != nil {
		if err := suite.engine.close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	for _, line := range suite.lines {
		fmt.Println(line)
	}
	ran, skipped := suite.ran.Load(), suite.skipped.Load()
	fmt.Printf("container tests: %d ran, %d skipped\n", ran, skipped)
	if err := verdict(ran, skipped, os.Getenv("CI") == "true", suite.without); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// verdict is an error when a run on CI has tested nothing although it should have.
func verdict(ran, skipped int64, ci bool, why error) error {
	if ci && ran == 0 && skipped > 0 {
		return fmt.Errorf("CI=true, and all %d container tests were skipped: %w", skipped, why)
	}
	return nil
}

func TestARunThatSkipsEverythingFailsOnCI(t *testing.T) {
	for _, c := range []struct {
		ran, skipped int64
		ci, fails    bool
	}{
		{ran: 0, skipped: 3, ci: true, fails: true},
		{ran: 0, skipped: 3, ci: false},
		{ran: 1, skipped: 3, ci: true},
		{ran: 0, skipped: 0, ci: true}, // -run has named others
	} {
		if err := verdict(c.ran, c.skipped, c.ci, os.ErrNotExist); (err != nil) != c.fails {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// needsEngine skips the test, and counts it, where there is no engine.
func needsEngine(t *testing.T) *engine {
	t.Helper()
	if suite.engine == nil {
		suite.skipped.Add(1)
		t.Skipf("no container engine answers: %v", suite.without)
	}
	suite.ran.Add(1)
	return suite.engine
}

// turns are how many clusters run at once: each is three hosts that sync their disks.
var turns = make(chan struct{}, 2)

// takeTurn waits until the test may use the machine.
func takeTurn(t *testing.T) {
	t.Helper()
	select {
	case turns <- struct{}{}:
		t.Cleanup(func() { <-turns })
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
