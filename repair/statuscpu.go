package repair

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A cpuMeter adds up the CPU time of pieces of work, by the time of the threads they
// run on. What a piece hands to other goroutines is not in it.
type cpuMeter struct{ spent atomic.Int64 }

// do runs a piece of work on one thread and counts it. Pieces must not nest.
func (m *cpuMeter) do(work func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadTime()
	defer func() { m.spent.Add(int64(threadTime() - began)) }()
	work()
}

func (m *cpuMeter) seconds() float64 { return time.Duration(m.spent.Load()).Seconds() }
