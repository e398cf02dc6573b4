package host

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/members"
	"trireme/internal/position"
	"trireme/streams"
)

const (
	reportEvery    = time.Second
	reportSubjects = "trireme.host." // and a host's name, in the account of the logs
	reportsWanted  = "trireme.hosts" // in the same account: whoever hears it reports at once
	ownerEvents    = "adama.event.owner"
)

// report has the others told soon how this host is.
func (h *Host) report() {
	if h.cluster == nil {
		return
	}
	select {
	case h.cluster.news <- struct{}{}:
	default:
	}
}

// tellOthers reports, again and again.
func (h *Host) tellOthers(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		h.publishReport(false)
		select {
		case <-ctx.Done():
			h.publishReport(true)
			return
		case <-tick.C:
		case <-h.cluster.news:
		}
	}
}

func (h *Host) publishReport(closing bool) {
	r := h.makeReport()
	h.cluster.reports++
	r.Seq, r.Closing = h.cluster.reports, closing
	h.heard(r) // itself, as the others hear it
	body, err := json.Marshal(r)
	if err == nil {
		err = h.tails.Publish(reportSubjects+h.Config.Host, body)
	}
	if err != nil && h.tails.IsConnected() {
		h.Logger.Warn("report to the other hosts", "error", err)
	}
}

func (h *Host) makeReport() members.Report {
	l, self := h.layout(), h.id.Self()
	r := members.Report{
		Host: self.Host, Disk: self.Disk, Boot: self.Boot, Version: h.Version,
		Layout:   members.Layout{Version: l.Version, Digest: l.Digest()},
		Draining: h.cluster.draining.Load(),
		Stripes:  map[string]members.Stripe{},
	}
	for _, s := range h.members() {
		r.Stripes[s.Name] = s.report()
	}
	return r
}

func (s *stripe) report() members.Stripe {
	st := s.status()
	r := members.Stripe{Applied: s.replica.Applied().Seq, Durable: s.remembered(), Clean: s.clean(), Sick: s.sickness(), Partial: s.partial()}
	r.Log, r.Foreign = s.followed()
	if st.Phase == streams.Serving {
		r.Owner = &members.Owner{Epoch: st.Epoch.String(), First: st.Log.First, Last: st.Log.Last, Bytes: st.Log.Bytes, Time: st.Applied.Time}
	}
	return r
}

// followed is where the log that this host has followed was made to begin, 0 for none, and
// whether the store turned out to be of another one.
func (s *stripe) followed() (first uint64, foreign bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, s.ails == strange
}

// sickness is why this host must not own the stripe now, "" when it may.
func (s *stripe) sickness() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sick == "" && s.err != nil {
		return "its log is not open: " + s.err.Error()
	}
	if s.sick == "" {
		return s.losses
	}
	return s.sick
}

// hearOthers takes their reports in.
func (h *Host) hearOthers() error {
	_, err := h.tails.Subscribe(reportSubjects+"*", func(m *nats.Msg) {
		r, err := members.ParseReport(m.Data)
		if err != nil || m.Subject != reportSubjects+r.Host {
			h.Logger.Warn("a report cannot be read", "subject", m.Subject, "error", err)
			return
		}
		if r.Host != h.Config.Host { // it has heard itself before
			h.heard(r)
		}
	})
	if err == nil {
		_, err = h.tails.Subscribe(reportsWanted, func(*nats.Msg) { h.report() })
	}
	return err
}

// askOthers has them report at once.
func (h *Host) askOthers() {
	if err := h.tails.Publish(reportsWanted, nil); err != nil && h.tails.IsConnected() {
		h.Logger.Warn("ask the other hosts for a report", "error", err)
	}
}

func (h *Host) heard(r members.Report) {
	news := h.cluster.peers.hear(r)
	if news.Rival {
		h.Logger.Error("another host goes by this name", "host", r.Host, "disk", r.Disk)
	}
	if news.Taken && h.id.See(r) {
		h.cluster.save()
	}
	for _, o := range news.Owners {
		h.Logger.Debug("owner", "stripe", o.Stripe, "host", o.Host, "epoch", o.Epoch.String())
	}
}

// An ownerEvent is what clients are told on [ownerEvents] when a host has begun or
// ceased to serve a stripe.
type ownerNotice struct {
	Event      string `json:"event"` // owned or released
	Stripe     string `json:"stripe"`
	Host       string `json:"host"`
	Adama      string `json:"adama"` // address of the Adama node beside the host
	Epoch      string `json:"epoch"`
	Partitions []int  `json:"partitions"`
	Layout     uint64 `json:"layout"`
	Reason     string `json:"reason,omitempty"` // why it was released
}

// tellOwner tells hosts and clients that this host has begun or ceased to serve.
func (h *Host) tellOwner(s *stripe, e streams.Event) {
	h.report()
	l := h.layout()
	self, _ := l.Host(h.Config.Host)
	n := ownerNotice{Stripe: s.Name, Host: self.Name, Adama: self.Adama, Layout: l.Version, Partitions: []int{}}
	var epoch position.Position
	switch e := e.(type) {
	case streams.Claimed:
		n.Event, epoch = "owned", e.Epoch
	case streams.Lost:
		n.Event, epoch = "released", e.Epoch
		if e.Err != nil {
			n.Reason = e.Err.Error()
		}
	default:
		return
	}
	n.Epoch = epoch.String()
	for _, p := range l.PartitionsOf(s.Name) {
		n.Partitions = append(n.Partitions, int(p.ID))
	}
	body, err := json.Marshal(n)
	if err == nil {
		err = h.clients.Publish(ownerEvents, body)
	}
	if err != nil && h.clients.IsConnected() {
		h.Logger.Warn("tell of the ownership", "stripe", s.Name, "error", err)
	}
}
