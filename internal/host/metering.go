package host

import (
	"trireme/ops"
	"trireme/repair"
)

// A meteredRepair is this host's repair, and what it costs. Set the fields, then start
// the repairer.
type meteredRepair struct {
	repairer *repair.Repairer
	peer     *repair.Peer   // nil alone
	answers  *repair.Server // likewise

	meter ops.RepairMeter
}

// ended has the cost of a round that has ended counted.
func (k *meteredRepair) ended(e repair.Event) {
	if round, ok := e.(repair.RoundEnded); ok {
		asked, served := k.traffic()
		k.meter.Ended(round.RoundResult, k.repairer.Status(), asked, served)
	}
}

// traffic is what went to the other hosts, and what came from them.
func (k *meteredRepair) traffic() (asked repair.PeerTraffic, served repair.ServerStats) {
	if k.peer == nil {
		return asked, served
	}
	return k.peer.Traffic(), k.answers.Stats()
}

// describe fills in what a status tells of repair.
func (k *meteredRepair) describe(st *ops.Status) {
	is := k.repairer.Status()
	asked, served := k.traffic()
	cost := k.meter.Costs(is.Counters, asked, served)
	st.Repair, st.RepairCost, st.RepairEveryMS = &is, &cost, is.Round.IntervalMS
}
