package ops

import (
	"slices"
	"strings"
	"testing"
)

// member is h1 of three healthy hosts: it owns s1, and h2 owns s2.
func member() Status {
	s := healthy()
	s.PID, s.Phase, s.Cluster, s.DiskID, s.Boot = 77, PhaseRunning, "trireme", "d1", 3
	s.Layout, s.LayoutDigest, s.LayoutSource = 7, "c0ffee", "/etc/trireme/layout.conf"
	s.Requests.HoldMS = 15_000
	for _, name := range []string{"h1", "h2", "h3"} {
		s.Hosts = append(s.Hosts, HostView{
			Name: name, Self: name == "h1", Alive: true, HeardMS: 400, Version: "v0.1.0", Layout: 7, LayoutDigest: "c0ffee",
			NATS: name + ":4222", HTTP: name + ":7422", Adama: name + ":8080",
		})
	}
	s.Hosts[0].HeardMS = 0
	stripe := s.Stripes[0]
	stripe.Members, stripe.Replicas, stripe.Partitions, stripe.LeaderHere = []string{"h1", "h2", "h3"}, 3, 32, true
	for _, name := range stripe.Members {
		stripe.MembersState = append(stripe.MembersState, MemberView{Host: name, Alive: true, Owner: name == "h1", Applied: 120, Durable: 100})
	}
	other := stripe
	other.Name, other.Owner, other.Epoch, other.Phase, other.LeaderHere = "s2", "h2", "2-9", "waiting", false
	other.MembersState = slices.Clone(other.MembersState)
	other.MembersState[0].Owner, other.MembersState[1].Owner = false, true
	s.Stripes = []Stripe{stripe, other}
	return s
}

// down makes a host unheard of for so many milliseconds.
func down(s *Status, host string, ms int64) {
	for i := range s.Hosts {
		if s.Hosts[i].Name == host {
			s.Hosts[i].Alive, s.Hosts[i].HeardMS = false, ms
		}
	}
	for _, p := range s.Stripes {
		for i := range p.MembersState {
			if p.MembersState[i].Host == host {
				p.MembersState[i].Alive = false
			}
		}
	}
}

func TestClusterConditions(t *testing.T) {
	fault := func(kind LayoutFaultKind) func(*Status) {
		return func(s *Status) {
			s.LayoutError = &LayoutFault{Kind: kind, Version: 6, Text: "hosts[1].http: it is empty"}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Status)
		want   string // id, severity, scope and subject of each
		text   string // part of the first one's
		remedy string // likewise
		ready  bool
	}{
		{"all well", func(*Status) {}, "", "", "", true},
		{"a peer is down", func(s *Status) { down(s, "h3", 12_345) }, "host-down warning cluster h3", "not heard for 12s; its status is at http://h3:7422/status", "", true},
		{"a peer was never heard", func(s *Status) { down(s, "h3", -1) }, "host-down warning cluster h3", "since this host started", "", true},
		{
			"an owner is down: requests wait for the next", func(s *Status) { down(s, "h2", 3100) },
			"stripe-no-owner critical cluster s2, host-down warning cluster h2", "h2, which was it, is not heard for 3.1s", "", true,
		},
		{
			"an owner is down for longer than requests wait", func(s *Status) { down(s, "h2", 15_000) },
			"stripe-no-owner critical cluster s2, host-down warning cluster h2", "not heard for 15s", "", false,
		},
		{
			"no owner, for a while", func(s *Status) { s.Stripes[1].Owner, s.Stripes[1].NoOwnerMS = "", 4200 },
			"stripe-no-owner critical cluster s2", "no owner for 4.2s", "an election takes", true,
		},
		{
			"no owner, for too long", func(s *Status) {
				s.Stripes[1].Owner, s.Stripes[1].NoOwnerMS, s.Stripes[1].Error = "", 15_000, "the claim was refused"
			},
			"stripe-no-owner critical cluster s2", "no owner for 15s; on this host: the claim was refused", "", false,
		},
		{
			"no owner, and nobody knows how long requests wait", func(s *Status) { s.Stripes[1].Owner, s.Requests.HoldMS = "", 0 },
			"stripe-no-owner critical cluster s2", "", "", false,
		},
		{
			"two of three are down", func(s *Status) { down(s, "h2", 5000); down(s, "h3", 6000) },
			"stripe-no-quorum critical cluster s1, stripe-no-quorum critical cluster s2, host-down warning cluster h2, host-down warning cluster h3",
			"2 of its 3 members are not heard: h2, h3", "bring one of these hosts back", false,
		},
		{
			"the owner is here and does not serve", func(s *Status) { s.Stripes[0].Phase = "claiming" },
			"stripe-not-serving critical host s1", "it is claiming", "", false,
		},
		{"an error here, the owner elsewhere", func(s *Status) { s.Stripes[1].Error = "no leader" }, "", "", "", true},
		{
			"opening, the owner elsewhere", func(s *Status) { s.Stripes[1].Phase, s.Stripes[1].Error = StripeOpening, "no such stream yet" },
			"stripe-opening warning host s2", "opened on this host: no such stream yet", "", true,
		},
		{
			"no member of a stripe that is well", func(s *Status) {
				s.Stripes[1] = Stripe{Name: "s2", Members: s.Stripes[1].Members, Owner: "h2", Epoch: "2-9", MembersState: s.Stripes[1].MembersState, LagMS: 99_999}
			}, "", "", "", true,
		},
		{
			"a member lags", func(s *Status) { s.Stripes[0].MembersState[2].LagRecords = lagRecords + 1 },
			"member-lagging warning cluster s1/h3", "h3 of stripe s1 is 5001 records behind", "", true,
		},
		{"a member that is not heard does not lag", func(s *Status) { s.Stripes[0].MembersState[2].LagRecords = 9999; down(s, "h3", 1) }, "host-down warning cluster h3", "", "", true},
		{"a member at the threshold", func(s *Status) { s.Stripes[0].MembersState[2].LagRecords, s.Stripes[1].LagMS = lagRecords, lagMS }, "", "", "", true},
		{
			"this host lags", func(s *Status) {
				s.Stripes[1].LagRecords, s.Stripes[1].LagBytes, s.Stripes[1].LagMS = 12, 3<<20, lagMS+1
			},
			"member-lagging warning cluster s2/h1", "12 records, 3.0 MiB and 10s behind", "", true,
		},
		{
			"a member is sick, and no more", func(s *Status) {
				s.Stripes[0].MembersState[2].Sick, s.Stripes[0].MembersState[2].LagRecords = "fell off the log", 9999
			},
			"member-sick warning cluster s1/h3", "must not own it: fell off the log", "healed from them by itself", true,
		},
		{"this host is sick", func(s *Status) { s.Stripes[1].Sick = "wiped" }, "member-sick warning cluster s2/h1", "wiped", "", true},
		{"drained", func(s *Status) { s.Draining, s.Hosts[0].Draining = true, true }, "draining warning cluster h1", "h1 is drained", "--undo", true},
		{"a peer is drained", func(s *Status) { s.Hosts[1].Draining = true }, "draining warning cluster h2", "h2 is drained", "", true},
		{"another version", func(s *Status) { s.Hosts[1].Layout = 8 }, "layout-differs warning cluster h2", "h2 runs layout 8, this one 7", "", true},
		{"another digest", func(s *Status) { s.Hosts[1].LayoutDigest = "bad" }, "layout-differs warning cluster h2", "its digest is bad, that of this one c0ffee", "", true},
		{"a peer that has not said", func(s *Status) { s.Hosts[1].Layout, s.Hosts[1].LayoutDigest = 0, "" }, "", "", "", true},
		{"layout away", fault(LayoutUnreachable), "layout-unreachable warning host ", "at /etc/trireme/layout.conf cannot be read (version 6): hosts[1].http: it is empty; version 7 stays in force", "", true},
		{"layout wrong", fault(LayoutInvalid), "layout-invalid warning host ", "has faults", "trireme layout validate", true},
		{"layout older", fault(LayoutOlder), "layout-older warning host ", "older than the one in force (version 6)", "", true},
		{"layout refused", fault(LayoutRefused), "layout-refused warning host ", "cannot follow", "", true},
		{"layout against what was agreed", fault(LayoutConflict), "layout-conflict warning host ", "agreed on another", "", true},
		{
			"held back, and so it knows nothing", func(s *Status) {
				s.Phase, s.Held = PhaseHeld, &Held{"its disk is empty, and h2 and h3 know it", "wait until h2 is back"}
				down(s, "h2", -1)
				down(s, "h3", -1)
				s.Stripes[0].Owner, s.Stripes[0].MembersState[0].Sick = "", "wiped"
			},
			"host-held critical cluster h1", "held back: its disk is empty", "wait until h2 is back", false,
		},
		{"held back, and does not say why", func(s *Status) { s.Phase = PhaseHeld }, "host-held critical cluster h1", "held back", "readmit", false},
		{
			"starting", func(s *Status) {
				s.Phase, s.Step, s.Stripes[0].Owner, s.Stripes[1].Phase = PhaseStarting, "opening the stripes", "", "claiming"
				s.Stripes[1].Owner = "h1"
				down(s, "h2", -1)
				down(s, "h3", -1)
			},
			"host-down warning cluster h2, host-down warning cluster h3, host-starting warning host ", "since this host started", "log", false,
		},
		{
			"starting, and waiting for an owner", func(s *Status) {
				s.Phase, s.Step, s.Stripes[1].Owner = PhaseStarting, "waiting for every stripe to be owned", ""
			},
			"stripe-no-owner critical cluster s2, host-starting warning host ", "no owner", "wait", false,
		},
		{
			"starting, with an error", func(s *Status) { s.Phase, s.Stripes[0].Error = PhaseStarting, "the store is ahead of its log" },
			"stripe-not-serving critical host s1, host-starting warning host ", "ahead", "", false,
		},
		{"closing", func(s *Status) { s.Phase = PhaseClosing }, "host-closing warning host ", "about to end", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := member()
			c.change(&s)
			s.Assess()
			var got []string
			for _, x := range s.Conditions {
				got = append(got, strings.Join([]string{x.ID, string(x.Severity), string(x.Scope), x.Subject}, " "))
				if x.Text == "" || x.Remedy == "" {
					t.Errorf("%+v has no text or no remedy", x)
				}
			}
			if strings.Join(got, ", ") != c.want || s.Ready != c.ready {
				t.Fatalf("conditions %q, ready %v; want %q, %v", got, s.Ready, c.want, c.ready)
			}
			if c.want == "" {
				return
			}
			if first := s.Conditions[0]; !strings.Contains(first.Text, c.text) || !strings.Contains(first.Remedy, c.remedy) {
				t.Errorf("text %q, remedy %q; want %q and %q in them", s.Conditions[0].Text, s.Conditions[0].Remedy, c.text, c.remedy)
			}
		})
	}
}

// A host that is not ready tells a condition, also when it knows nothing yet.
func TestHostThatIsNotReadySaysWhy(t *testing.T) {
	for _, phase := range []Phase{PhaseStarting, PhaseHeld, PhaseClosing} {
		s := Status{Host: "h1", Phase: phase}
		if s.Assess(); s.Ready || len(s.Conditions) == 0 {
			t.Errorf("%s: ready %v, conditions %v", phase, s.Ready, s.Conditions)
		}
	}
}
