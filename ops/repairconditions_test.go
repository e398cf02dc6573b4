package ops

import (
	"strings"
	"testing"
	"time"

	"trireme/repair"
)

// moment is when the statuses of these tests are of; the host runs for an hour.
var moment = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func ago(d time.Duration) *time.Time {
	t := moment.Add(-d)
	return &t
}

// repairing is h1 of three healthy hosts, which compares its stripes all the time.
func repairing() Status {
	s := member()
	s.At, s.Started = moment, moment.Add(-time.Hour)
	s.Repair = &repair.Status{
		Round: repair.RoundState{Last: &repair.RoundResult{Verdicts: map[string]uint64{"lag": 3}}},
		Heals: []repair.Heal{},
		Counters: repair.Counters{
			Rounds: 9, Verdicts: map[string]uint64{"lag": 3, "missing": 1}, Pulled: map[string]uint64{"missing": 1}, Dropped: 2, Undecided: 4, Failures: 5,
			BytesPulled: 600, DiskReads: 7, ScrubBytes: 800, CPUSeconds: 0.5,
		},
		Scrub: repair.ScrubState{Pass: repair.ScrubProgress{Buckets: 200, Read: 50}, LastEnded: ago(24 * time.Hour)},
	}
	for _, name := range []string{"s1", "s2"} {
		s.Repair.Stripes = append(s.Repair.Stripes, repair.Clean{
			Stripe: name, Position: "1-118", Buckets: 512, Verified: 256,
			Partitions: []repair.CleanPartition{
				{Partition: "00", Position: "1-119", At: ago(20 * time.Second), Against: "h2"},
				{Partition: "01", Position: "1-118", At: ago(5 * time.Minute), Against: "h3"}, // the oldest that is well
			},
		})
	}
	return s
}

func TestRepairConditions(t *testing.T) {
	healing := func(h repair.Heal) func(*Status) {
		return func(s *Status) {
			h.Stripe, h.Sick = "s2", "wiped"
			s.Stripes[1].Sick, s.Repair.Heals = "wiped", []repair.Heal{h}
			s.Repair.Stripes[1].Sick, s.Repair.Stripes[1].Partitions[0].At = "wiped", nil
		}
	}
	old := func(s *Status) { s.Repair.Stripes[1].Partitions[1].At = ago(5*time.Minute + time.Second) }
	for _, c := range []struct {
		name   string
		change func(*Status)
		want   string // id, severity, scope and subject of each
		text   string // part of the first one's
		remedy string // likewise
	}{
		{"all well", func(*Status) {}, "", "", ""},
		{"no repair here", func(s *Status) { s.Repair = nil }, "", "", ""},
		{"before the first round", func(s *Status) { s.Repair.Round.Last = nil }, "", "", ""},
		{
			"a log is gone", func(s *Status) { s.Stripes[1].LogGone = "there is no stream trireme-s2" },
			"log-gone critical cluster s2", "the log of stripe s2 is gone: there is no stream", "trireme stripe rebuild",
		},
		{
			"documents are undecided", func(s *Status) {
				s.Repair.Round.Last.Skipped = []repair.Skipped{
					{Stripe: "s1", Why: "h3 does not answer"},
					{Stripe: "s1", Space: "game", Key: "chess", Why: "no member has a copy that passes its own check"},
					{Stripe: "s1", Space: "game", Key: "go", Why: "likewise"},
				}
			}, "documents-undecided critical host ", "2 documents that differ between members or damaged, and no copy can be told to be right; the first is game chess: no member", "trireme doc explain",
		},
		{"documents are damaged", func(s *Status) { s.Repair.Damaged = 3 }, "documents-damaged warning host ", "3 documents", "fetched from other members"},
		{"rows were damaged", func(s *Status) { s.Store.Damaged = 1 }, "damaged-rows warning host ", "1 rows", "repaired from other members by themselves"},
		{
			"paused, and so nothing is compared", func(s *Status) { s.Repair.Paused = ago(-time.Hour); old(s) },
			"repair-paused warning host ", "paused on this host until 2026-03-04T06:06:07Z", "repair resume",
		},
		{"not compared for long", old, "partition-not-compared warning host s2", "partition 01 of stripe s2 was found equal to another member's last 5m1s ago", "trireme verify"},
		{
			"two not compared for long", func(s *Status) {
				old(s)
				s.Started = moment.Add(-61 * time.Minute)
				s.Repair.Stripes[1].Partitions[0].At, s.Repair.Stripes[1].Partitions[0].Lagging = nil, 12
			},
			"partition-not-compared warning host s2",
			"partition 00 of stripe s2 was found equal to another member's not since this host was started, 1h1m0s ago; 12 of its buckets could not be compared in the last round (and 1 more partitions)", "",
		},
		{"rounds that are rare", func(s *Status) { old(s); s.RepairEveryMS = 31_000 }, "", "", ""},
		{"rounds that are not", func(s *Status) { s.RepairEveryMS = 29_000 }, "partition-not-compared warning host s1, partition-not-compared warning host s2", "last 5m0s ago", ""},
		{"written to all the time", func(s *Status) { old(s); s.Repair.Stripes[1].Partitions[1].Lagging = 1 }, "", "", ""},
		{"just started", func(s *Status) { old(s); s.Started = moment.Add(-5 * time.Minute) }, "", "", ""},
		{"a clock that was not read", func(s *Status) { old(s); s.At = time.Time{} }, "", "", ""},
		{"a member is down", func(s *Status) { old(s); down(s, "h3", 1000) }, "host-down warning cluster h3", "", ""},
		{
			"a member is sick", func(s *Status) { old(s); s.Stripes[1].MembersState[2].Sick = "wiped" },
			"member-sick warning cluster s2/h3", "must not own it: wiped", "",
		},
		{"a stripe that is not the layout's", func(s *Status) { old(s); s.Repair.Stripes[1].Stripe = "s9" }, "", "", ""},
		{
			"this host heals", healing(repair.Heal{Phase: repair.HealPulling, Peer: "h3", Buckets: 8192, Verified: 4096, Documents: 77, Bytes: 3 << 20, ETA: ago(-90 * time.Second)}),
			"member-sick warning cluster s2/h1",
			"must not own it: wiped; it heals from h3: 4096 of 8192 buckets are equal, 77 documents and 3.0 MiB pulled, about 1m30s left", "healed from them by itself",
		},
		{
			"this host waits to heal", healing(repair.Heal{Phase: repair.HealWaiting, Why: "no healthy member answers"}),
			"member-sick warning cluster s2/h1", "it waits to be healed: no healthy member answers", "",
		},
		{
			"this host is nearly healed", healing(repair.Heal{Phase: repair.HealOpening, Peer: "h3", Buckets: 8, Verified: 8}),
			"member-sick warning cluster s2/h1", "8 of 8 buckets are equal, 0 documents and 0 B pulled; its log is being opened", "",
		},
		{
			"a store is set aside", func(s *Status) { s.Store.SetAside = []string{"/d/store-aside-1", "/d/store-aside-2"} },
			"store-set-aside warning host ", "it is in /d/store-aside-1, /d/store-aside-2", "remove it",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := repairing()
			c.change(&s)
			s.Assess()
			var got []string
			for _, x := range s.Conditions {
				got = append(got, strings.Join([]string{x.ID, string(x.Severity), string(x.Scope), x.Subject}, " "))
				if x.Text == "" || x.Remedy == "" {
					t.Errorf("%+v has no text or no remedy", x)
				}
			}
			if strings.Join(got, ", ") != c.want || !s.Ready {
				t.Fatalf("conditions %q, ready %v; want %q", got, s.Ready, c.want)
			}
			if c.want == "" {
				return
			}
			if first := s.Conditions[0]; !strings.Contains(first.Text, c.text) || !strings.Contains(first.Remedy, c.remedy) {
				t.Errorf("text %q, remedy %q; want %q and %q in them", first.Text, first.Remedy, c.text, c.remedy)
			}
		})
	}
}
