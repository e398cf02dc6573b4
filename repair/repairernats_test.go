package repair

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"trireme/buckets"
)

// Stripe is for [Source].
func (m *simMember) Stripe(name string) (*buckets.Replica, string, bool) {
	return m.replica(), m.sickness(), name == simStripe
}

// overNATS has the members ask one another over a NATS server.
func (s *sim) overNATS(c Config) {
	s.t.Helper()
	server := aServer(s.t)
	for _, m := range s.members {
		answers := &Server{Conn: logConn(s.t, server), Host: m.name, Version: "v1.2.3", Source: m}
		if err := answers.Start(); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() {
			if err := answers.Close(); err != nil {
				s.t.Error(err)
			}
		})
		m.over = &Peer{Conn: logConn(s.t, server), Self: m.name, Layout: m.Layout}
	}
	for _, m := range s.members {
		m.start(c)
	}
}

// The wire and the repairer together: damage of each kind, and a lost disk.
func TestMembersRepairOneAnotherOverNATS(t *testing.T) {
	s := newSim(t, 3)
	s.log.fill(2000, 200)
	s.feedAll()
	a, b, c := s.members[0], s.members[1], s.members[2]
	old := a.image(simKey(1))
	s.log.batch(s.log.edit(simKey(1), 10))
	s.feedAll()
	a.fallsBack(old)
	a.loses(simKey(2))
	b.loses(simKey(3))
	b.fallsBack(s.otherwise(simKey(4)))
	c.wipe()
	c.setSick("its disk is new")
	s.overNATS(Config{})
	until(t, "healed", c.isHealed)
	for range 2 {
		for _, m := range s.members {
			m.round()
		}
	}
	s.same(s.members...)
	for _, m := range s.members {
		if result := m.round(); result.Pulled != 0 || len(result.Skipped) != 0 || len(result.Verdicts) != 0 {
			t.Errorf("%s: %+v", m.name, result)
		}
		if st := m.r.Status(); st.Stripes[0].Reported != fmt.Sprintf("1-%d", s.log.seq()) || st.Counters.BytesSent == 0 || st.Counters.BytesReceived == 0 {
			t.Errorf("%s: %+v", m.name, st)
		}
	}
	if err := b.r.Mend(t.Context(), simKey(5)); err != nil {
		t.Error(err)
	}
	p, err := a.r.Plan(t.Context(), Scope{})
	if err != nil || len(p.Ops) != 0 || len(p.Stripes[0].Peers) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
}

// BenchmarkHealing fills a lost disk from another member in this process, over NATS.
func BenchmarkHealing(b *testing.B) {
	for _, size := range []int{256, 4096, 65536} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			const total = 128 << 20
			documents := total / size / 4
			s := newSim(b, 2)
			for i := range documents {
				s.log.batch(s.log.edit(simKey(i), size))
				for range 3 {
					s.log.batch(s.log.edit(simKey(i), size))
				}
			}
			for _, m := range s.members {
				m.close()
				m.realDisk = b.TempDir()
				m.open()
			}
			m := s.members[0]
			s.feed(s.members[1])
			s.overNATS(Config{})
			b.ResetTimer()
			for b.Loop() {
				b.StopTimer()
				m.close()
				m.fs, m.realDisk = vfs.NewMem(), b.TempDir()
				m.open()
				m.setSick("its disk is new")
				b.StartTimer()
				began := time.Now()
				m.start(Config{})
				until(b, "healed", m.isHealed)
				took := time.Since(began)
				c := m.r.Status().Counters
				b.ReportMetric(float64(c.BytesPulled)/1e6/took.Seconds(), "MB/s")
				b.ReportMetric(c.CPUSeconds/took.Seconds(), "cores-counted")
			}
		})
	}
}

// BenchmarkHealthyRound compares two hosts with nothing to do, over NATS.
func BenchmarkHealthyRound(b *testing.B) {
	s := newSim(b, 3)
	s.log.fill(10_000, 100)
	s.feedAll()
	s.overNATS(Config{})
	m := s.members[0]
	m.round()
	before := m.r.Status().Counters
	for b.Loop() {
		m.round()
	}
	after := m.r.Status().Counters
	n := float64(after.Rounds - before.Rounds)
	b.ReportMetric((after.CPUSeconds-before.CPUSeconds)/n*1e6, "cpu-us/round")
	b.ReportMetric(float64(after.BytesSent+after.BytesReceived-before.BytesSent-before.BytesReceived)/n/2, "bytes/peer")
	b.ReportMetric(float64(after.DiskReads-before.DiskReads), "reads")
}
