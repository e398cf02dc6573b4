package buckets

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"trireme/internal/contract"
)

// A newcomer is a store without the log's beginning. It takes the documents from
// the machine's store, which goes on applying, then follows the log.
type newcomer struct {
	*machine
	disk  *vfs.MemFS
	store *Store
}

// TestRehydrate fills an empty store by images while the other goes on, with losses
// of power in between, and then follows the log from where the other stood at the
// beginning.
func TestRehydrate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{t: t, fs: vfs.NewMem(), log: newLog(), twin: newTwin()}
		m.store = open(t, m.fs, m.options())
		defer func() { _ = m.store.Close() }()
		n := &newcomer{machine: m, disk: vfs.NewCrashableMem()}
		n.store = open(t, n.disk, m.options())
		defer func() { _ = n.store.Close() }()
		n.goOn(30)
		if m.chance(30, "not empty") { // fallen off the log
			n.follow(rapid.Uint64Range(1, m.log.seq()).Draw(t, "had"))
		}
		for {
			goal := m.log.feed(t, m.store).Applied()
			for !n.pull() {
				n.powerLoss()
			}
			if err := replicaOf(t, n.store).Adopt(goal); err != nil {
				t.Fatal(err)
			}
			if m.chance(30, "power loss after adopting") {
				n.powerLoss()
			}
			if got := replicaOf(t, n.store).Applied(); got.Seq < goal.Seq {
				t.Fatalf("stands at %d, has adopted %d", got.Seq, goal.Seq)
			}
			if m.chance(70, "the log goes back that far") {
				break
			}
			n.goOn(5)
		}
		n.goOn(5)
		n.follow(m.log.seq())
		m.log.feed(t, m.store)
		verified(t, n.store)
		sameDocuments(t, m.store, n.store)
	})
}

// goOn has the machine's store go on by up to n records.
func (n *newcomer) goOn(most int) {
	for range rapid.IntRange(0, most).Draw(n.t, "records more") {
		switch rapid.IntRange(0, 9).Draw(n.t, "record") {
		case 0:
			n.storm()
		case 1:
			n.foreign()
		default:
			n.batch()
		}
	}
}

func (n *newcomer) follow(to uint64) {
	r := replicaOf(n.t, n.store)
	for seq := r.Applied().Seq + 1; seq <= to; seq++ {
		if err := r.Apply(seq, n.log.bodies[seq-1]); err != nil {
			n.t.Fatal(err)
		}
	}
}

// pull makes the documents equal to those of moments from now on, a few at a time.
// It returns false when it is interrupted.
func (n *newcomer) pull() bool {
	r := replicaOf(n.t, n.store)
	for b := range bucketsOf(names) {
		n.goOn(2)
		theirs := momentOf(n.t, n.machine.store)
		mine := momentOf(n.t, n.store)
		var list []Put
		has := map[contract.Key]DocState{}
		for _, d := range indexOf(n.t, mine, b) {
			has[d.Key] = d
		}
		for _, d := range indexOf(n.t, theirs, b) {
			if has[d.Key].Digest != d.Digest {
				list = append(list, Put{Image: sent(n.t, theirs, d.Key), AsOf: theirs.Position()})
			}
			delete(has, d.Key)
		}
		for k, d := range has {
			if ok, err := r.Drop(k, d.Digest); !ok || err != nil {
				n.t.Fatalf("drop: %v, %v", ok, err)
			}
		}
		theirs.Close()
		mine.Close()
		n.goOn(2)
		result, err := r.Put(list)
		if err != nil || result.Taken != len(list) {
			n.t.Fatalf("put: %+v, %v", result, err)
		}
		if n.chance(10, "power loss") {
			return false
		}
	}
	return true
}

// powerLoss leaves on disk what may be left of what was not synced.
func (n *newcomer) powerLoss() {
	if n.chance(30, "checkpoint before") {
		if err := n.store.Checkpoint(); err != nil {
			n.t.Fatal(err)
		}
	}
	disk := n.disk.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(n.t, "survives"),
		RNG:                 rand.New(rand.NewPCG(1, rapid.Uint64().Draw(n.t, "seed"))),
	})
	_ = n.store.Close()
	n.disk = disk
	n.store = open(n.t, disk, n.options())
	verified(n.t, n.store)
}
