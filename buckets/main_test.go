package buckets

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain has the property tests check fewer cases than they would, which other
// runs draw anew; TRIREME_DRILL=1 and -rapid.checks have them check more.
func TestMain(m *testing.M) {
	if !long() {
		checks := "40"
		if raced {
			checks = "10"
		}
		if err := flag.Set("rapid.checks", checks); err != nil { // the command line is parsed later
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}
