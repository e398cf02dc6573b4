package ops

import (
	"sync"

	"trireme/repair"
)

// RepairCosts are what repair has cost since the start.
type RepairCosts struct {
	All RepairCost `json:"all"`
	// Healthy are the costs of rounds that found nothing to do, each from the end of the
	// round before it: what repair costs while nothing is wrong. A time in which a stripe
	// was healed, a document was pulled from a peer or by one, or a scrub was under way is
	// not in it.
	Healthy RepairCost `json:"healthy"`
	// Served is what answering other hosts has cost, which is in All too.
	Served repair.ServerStats `json:"served"`
}

// A RepairCost is what repair has cost: this host's questions and the answers to them,
// and its own answers to others. Sizes are those of messages: subject, headers and body.
type RepairCost struct {
	Rounds     uint64  `json:"rounds"`
	Sent       uint64  `json:"bytes_sent"`
	Received   uint64  `json:"bytes_received"`
	DiskReads  uint64  `json:"disk_reads"` // of rows
	CPUSeconds float64 `json:"cpu_seconds"`
}

// A RepairMeter tells the costs of a healthy host from the others. It is told of every
// round that ends. The zero value is ready.
type RepairMeter struct {
	mu      sync.Mutex
	last    repairMark
	healthy RepairCost
}

// A repairMark is what counted at the end of a round.
type repairMark struct {
	cost  RepairCost
	done  uint64 // documents pulled, dropped or given to others, and bytes scrubbed
	heals int
}

// Ended notes a round that has ended, with the status of the Repairer at that time, what
// its questions have cost and what was answered to others.
func (m *RepairMeter) Ended(r repair.RoundResult, s repair.Status, asked repair.PeerTraffic, served repair.ServerStats) {
	now := repairMark{cost: costOf(s.Counters, asked, served), done: s.Counters.Dropped + s.Counters.ScrubBytes + served.Documents, heals: len(s.Heals)}
	for _, n := range s.Counters.Pulled {
		now.done += n
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if was := m.last; foundNothing(r) && now.done == was.done && now.heals+was.heals == 0 {
		m.healthy = m.healthy.plus(now.cost.minus(was.cost))
	}
	m.last = now
}

// Costs are those until now.
func (m *RepairMeter) Costs(c repair.Counters, asked repair.PeerTraffic, served repair.ServerStats) RepairCosts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return RepairCosts{All: costOf(c, asked, served), Healthy: m.healthy, Served: served}
}

func costOf(c repair.Counters, asked repair.PeerTraffic, served repair.ServerStats) RepairCost {
	return RepairCost{
		Rounds: c.Rounds, Sent: asked.Sent + served.Sent, Received: asked.Received,
		DiskReads: c.DiskReads + served.Reads, CPUSeconds: c.CPUSeconds,
	}
}

// foundNothing: what differed, if anything, the log brings.
func foundNothing(r repair.RoundResult) bool {
	for verdict, n := range r.Verdicts {
		if n > 0 && verdict != "lag" && verdict != "same" {
			return false
		}
	}
	return r.Pulled == 0 && r.Dropped == 0 && r.Error == ""
}

func (c RepairCost) plus(o RepairCost) RepairCost {
	return RepairCost{c.Rounds + o.Rounds, c.Sent + o.Sent, c.Received + o.Received, c.DiskReads + o.DiskReads, c.CPUSeconds + o.CPUSeconds}
}

func (c RepairCost) minus(o RepairCost) RepairCost {
	return RepairCost{c.Rounds - o.Rounds, c.Sent - o.Sent, c.Received - o.Received, c.DiskReads - o.DiskReads, c.CPUSeconds - o.CPUSeconds}
}
