package ops

import (
	"testing"

	"trireme/repair"
)

// Only what rounds cost that found nothing, from the round before on, is the cost of a
// healthy host.
func TestRepairMeter(t *testing.T) {
	var m RepairMeter
	var asked repair.PeerTraffic
	var served repair.ServerStats
	s := repair.Status{Counters: repair.Counters{Pulled: map[string]uint64{}}}
	clean := repair.RoundResult{Verdicts: map[string]uint64{"lag": 4}}
	round := func(r repair.RoundResult) {
		asked.Sent, asked.Received, served.Sent, served.Reads = asked.Sent+10, asked.Received+20, served.Sent+3, served.Reads+1
		s.Counters.Rounds, s.Counters.DiskReads, s.Counters.CPUSeconds = s.Counters.Rounds+1, s.Counters.DiskReads+2, s.Counters.CPUSeconds+0.5
		m.Ended(r, s, asked, served)
	}
	healthy := func(rounds uint64) {
		t.Helper()
		want := RepairCost{Rounds: rounds, Sent: 13 * rounds, Received: 20 * rounds, DiskReads: 3 * rounds, CPUSeconds: 0.5 * float64(rounds)}
		if got := m.Costs(s.Counters, asked, served).Healthy; got != want {
			t.Errorf("healthy costs %+v, want %+v", got, want)
		}
	}
	healthy(0)
	round(clean)
	round(clean)
	healthy(2)
	for name, r := range map[string]repair.RoundResult{
		"missing": {Verdicts: map[string]uint64{"missing": 1}},
		"pulled":  {Pulled: 1},
		"dropped": {Dropped: 1},
		"failed":  {Error: "cut short"},
	} {
		round(r)
		t.Log(name)
		healthy(2)
	}
	for _, work := range []func(){
		func() { s.Counters.Pulled["read"]++ },
		func() { s.Counters.Dropped++ },
		func() { s.Counters.ScrubBytes++ },
		func() { served.Documents++ },
		func() { s.Heals = append(s.Heals, repair.Heal{Stripe: "s1"}) },
		func() { s.Heals = nil }, // it ended in between
	} {
		work()
		round(clean)
		healthy(2)
	}
	round(clean)
	healthy(3)
	if got := m.Costs(s.Counters, asked, served); got.All.Rounds != 13 || got.All.Sent != asked.Sent+served.Sent || got.Served != served {
		t.Errorf("costs %+v", got)
	}
}
