package drill

import (
	"os"
)

// diskFaults take a host's whole disk.
func diskFaults() []fault {
	return []fault{
		{
			name: "wiped disk", what: "a host is killed and comes back with an empty disk",
			strike: func(x *strike) {
				h := x.victim()
				x.must(h.Kill())
				x.wipe(h)
				x.w.awaitAcked(50)
				x.must(h.Start())
			},
		},
		{
			name: "rolled-back disk", what: "a host is killed and comes back with its disk as it was some hundred changes before",
			strike: func(x *strike) {
				h := x.victim()
				x.must(h.Kill())
				kept := x.keep(h)
				x.must(h.Start())
				x.ready()
				x.w.awaitAcked(200)
				x.must(h.Kill())
				x.wipe(h)
				x.must(os.Rename(kept, h.Data))
				x.w.awaitAcked(50)
				x.must(h.Start())
			},
		},
	}
}
