package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/ops"
	"trireme/repair"
	"trireme/repair/plan"
)

// What differs from run to run in what is told of repair: IDs, times, who asks, where.
var repairDiffers = regexp.MustCompile(`"(job|began|ended|user|machine|program|server)":\s*"[^"]*"|ask http://127\.0\.0\.1:\d+: [^"]*refused|127\.0\.0\.1:\d{3,}`)

func repairSettled(text []byte) []byte {
	return repairDiffers.ReplaceAllFunc(text, func(m []byte) []byte {
		switch {
		case bytes.HasPrefix(m, []byte(`"`)):
			return append(bytes.SplitAfter(m, []byte(":"))[0], `"..."`...)
		case bytes.HasPrefix(m, []byte("ask")):
			return []byte("ask http://h3: connection refused")
		}
		return []byte("ADDRESS")
	})
}

// pull is an operation of a plan.
func pull(key string) plan.Op {
	at := func(seq uint64) position.Position { return position.Position{Birth: 1, Seq: seq} }
	return plan.Op{
		Kind: plan.Pull, Verdict: plan.Missing, Stripe: "s1", Bucket: layout.BucketOf("game", key), Key: contract.Key{Space: "game", Key: key},
		Here: plan.Seen{Position: at(7), Digest: digest.Of([]byte("old"))}, Right: plan.Seen{Position: at(9), Digest: digest.Of([]byte("new"))},
		From: []string{"h1"}, Rule: "this member has applied the newer copy's position and does not have it",
	}
}

func rebuildable(refused string) ops.RebuildPlan {
	p := ops.RebuildPlan{Stripe: "s2", Birth: 2, Log: "there is none", Refused: refused}
	for i, host := range []string{"h2", "h3", "h1"} {
		p.Members = append(p.Members, ops.RebuildMember{
			Host: host, Applied: "2-120", Epoch: "2-99", Chain: "5f1cc1c55a2e6d0b", Time: repairMoment, Newest: "2-118", Owner: i == 0,
		})
	}
	p.Members[1].Applied, p.Members[1].Chain, p.Members[1].Newest = "2-110", "aa00aa00aa00aa00", "2-108"
	return p
}

// A repairCase is a command and what it ends with.
type repairCase struct {
	name   string
	args   string
	exit   int
	change func(t *testing.T, c *repairCluster) // before it
	want   string                               // what h2 was told, in the end; of a stripe's rebuilding h1
}

func repairCases() []repairCase {
	onH2 := func(do func(*repairHost)) func(*testing.T, *repairCluster) {
		return func(_ *testing.T, c *repairCluster) { c.hosts["h2"].set(do) }
	}
	all := func(do func(*repairHost)) func(*testing.T, *repairCluster) {
		return func(_ *testing.T, c *repairCluster) {
			for _, h := range c.hosts {
				h.set(do)
			}
		}
	}
	away := func(t *testing.T, c *repairCluster) { c.hosts["h3"].end(t) }
	paused := func(h *repairHost) { h.fail = repair.ErrPaused }
	return []repairCase{
		{"verify", "verify", 0, nil, ""},
		{"verify-missing", "verify", 6, func(t *testing.T, c *repairCluster) { c.write(t, "lost", "h3") }, ""},
		{"verify-undecided", "verify --wait 0s", 6, func(t *testing.T, c *repairCluster) {
			for i, name := range []string{"h1", "h2", "h3"} {
				c.hosts[name].write(t, "three-ways", `{"n":`+strings.Repeat("1", i+1)+`}`)
			}
		}, ""},
		{"verify-away", "verify --wait 0s", 7, away, ""},
		{"verify-sick", "verify --wait 0s", 7, onH2(func(h *repairHost) { h.sick["s1"] = "the store was empty" }), ""},
		{"verify-lags", "verify --wait 0s", 7, func(t *testing.T, c *repairCluster) {
			c.hosts["h1"].write(t, "new", `{}`)
			c.hosts["h2"].write(t, "new", `{}`)
		}, ""},
		{"verify-damaged", "verify --wait 0s", 6, onH2(func(h *repairHost) { h.repair = &repair.Status{Damaged: 2} }), ""},
		{"verify-deep", "verify --deep", 0, nil, "scrub "},
		{"verify-deep-paused", "verify --deep", 7, onH2(paused), "scrub "},
		{"error-verify-wait", "verify --wait -1s", 2, nil, ""},

		{"doc-explain", "doc explain game doc3", 0, nil, ""},
		{"doc-explain-absent", "doc explain game nothing", 0, nil, ""},
		{"doc-explain-away", "doc explain game doc3", 0, away, ""},
		{"doc-explain-undecided", "doc explain game two", 3, func(t *testing.T, c *repairCluster) {
			c.hosts["h1"].write(t, "two", `{"n":1}`)
			c.hosts["h2"].write(t, "two", `{"n":2}`)
			away(t, c)
		}, ""},
		{"doc-explain-missing", "doc explain game lost", 3, func(t *testing.T, c *repairCluster) { c.write(t, "lost", "h3") }, ""},
		{"doc-explain-sick", "doc explain game doc3", 0, all(func(h *repairHost) {
			if h.name == "h3" {
				h.sick["s1"], h.sick["s2"] = "the store was empty", "the store was empty"
			}
		}), ""},
		{"error-doc-explain-name", "doc explain game " + strings.Repeat("k", 1025), 2, nil, ""},

		{"repair-run", "repair run", 0, nil, "run "},
		{"repair-run-part", "repair run --host h2 --stripe s1 --partition 07", 0, nil, "run s1/07"},
		{"repair-run-paused", "repair run", 3, onH2(paused), "run "},
		{"error-repair-run-paused", "repair run --host h2", 5, onH2(paused), "run "},
		{"error-repair-run-host", "repair run --host h9", 4, nil, ""},
		{"error-repair-run-stripe", "repair run --stripe s.1", 2, nil, ""},
		{"error-repair-run-partition", "repair run --partition seven", 2, nil, ""},
		{"error-repair-http", "repair run -s http://127.0.0.1:1", 2, nil, ""},
		{"repair-pause", "repair pause 90m", 0, nil, "pause 1h30m0s"},
		{"repair-pause-away", "repair pause 90m", 3, away, "pause 1h30m0s"},
		{"error-repair-pause-long", "repair pause 200h", 2, nil, ""},
		{"error-repair-pause-word", "repair pause long", 2, nil, ""},
		{"repair-resume", "repair resume --host h2", 0, nil, "resume"},
		{"repair-rate", "repair rate 20MB --tranquility 0.5", 0, nil, "throttle 20971520 0.5"},
		{"repair-rate-none", "repair rate none --host h2", 0, nil, "throttle 0 -"},
		{"error-repair-rate", "repair rate fast", 2, nil, ""},
		{"error-repair-rate-nothing", "repair rate", 2, nil, ""},
		{"error-repair-rate-rest", "repair rate --tranquility -1", 2, nil, ""},
		{"repair-stop", "repair stop", 0, nil, ""},
		{"repair-plan", "repair plan --host h2", 0, onH2(func(h *repairHost) { h.plan.Ops = []plan.Op{pull("lost"), pull("bad")} }), "plan "},
		{"repair-plan-undecided", "repair plan", 3, onH2(func(h *repairHost) {
			h.plan.Undecided = []plan.Open{{Stripe: "s1", Bucket: layout.BucketOf("game", "x"), Key: contract.Key{Space: "game", Key: "x"}, Rule: "no member has a copy that passes its own check", Asks: []string{"h3"}}}
		}), "plan "},
		{"repair-plan-away", "repair plan", 3, away, "plan "},
		{"error-repair-apply-file", "repair apply no-such-file", 2, nil, ""},
		{"scrub", "scrub", 0, nil, "scrub "},
		{"scrub-part", "scrub --host h3 --stripe s1", 0, nil, ""},
		{"error-scrub-failed", "scrub --host h2", 1, onH2(func(h *repairHost) { h.fail = errors.New("input/output error") }), "scrub "},

		{"stripe-rebuild-plan", "stripe rebuild s2", 5, all(func(h *repairHost) { h.rebuild = rebuildable("") }), "rebuild plan s2"},
		{"stripe-rebuild-stake", "stripe rebuild s2", 5, all(func(h *repairHost) {
			h.rebuild = rebuildable("")
			h.rebuild.Members[0] = ops.RebuildMember{Host: "h2", Unknown: "no responders", Owner: true}
			h.rebuild.Members[2] = ops.RebuildMember{Host: "h1", Sick: "the store was empty"}
		}), "rebuild plan s2"},
		{"stripe-rebuild-refused", "stripe rebuild s2 --yes", 5, all(func(h *repairHost) { h.rebuild = rebuildable("the log is there") }), "rebuild plan s2"},
		{"stripe-rebuild", "stripe rebuild s2 --yes", 0, all(func(h *repairHost) { h.rebuild = rebuildable("") }), "rebuild plan s2, rebuild s2"},
		{"error-stripe-rebuild-unknown", "stripe rebuild s9 --yes", 5, nil, ""},
		{"error-stripe-rebuild-name", "stripe rebuild s.2", 2, nil, ""},
	}
}

// Each is told as a table and as JSON.
func TestRepairGolden(t *testing.T) {
	for _, c := range repairCases() {
		t.Run(c.name, func(t *testing.T) {
			for _, form := range []string{table, asJSON} {
				cluster := newRepairCluster(t)
				if c.change != nil {
					c.change(t, cluster)
				}
				var stdout, stderr bytes.Buffer
				args := append([]string{"-s", cluster.url, "-o", form}, strings.Fields(c.args)...)
				if exit := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); exit != c.exit {
					t.Errorf("%s: exit %d, want %d; %s", form, exit, c.exit, &stderr)
				}
				if form == table {
					golden(t, c.name+".txt", repairSettled(append(stdout.Bytes(), stderr.Bytes()...)))
				} else {
					answer := stdout.Bytes()
					if strings.HasPrefix(c.name, "error") {
						answer = stderr.Bytes()
					}
					if !json.Valid(answer) {
						t.Errorf("not JSON: %s", answer)
					}
					golden(t, c.name+".json", repairSettled(answer))
				}
				of := "h2"
				if strings.HasPrefix(c.name, "stripe-") {
					of = "h1"
				}
				if got := cluster.hosts[of].toldSoFar(); got != c.want {
					t.Errorf("%s was told %q, want %q", of, got, c.want)
				}
			}
		})
	}
}

// healingStatus is of a host that heals one stripe and waits for another.
func healingStatus() *repair.Status {
	minutes := func(n int) *time.Time {
		t := repairMoment.Add(time.Duration(n) * time.Minute)
		return &t
	}
	s := &repair.Status{
		Rate: 20 << 20, Tranquility: 1, Damaged: 2,
		Round: repair.RoundState{Next: minutes(1), Last: &repair.RoundResult{
			Began: repairMoment.Add(-12 * time.Second), Verdicts: map[string]uint64{"missing": 2, "lag": 7},
			Skipped: []repair.Skipped{
				{Stripe: "s1", Why: "h3 does not answer"},
				{Stripe: "s1", Partition: "00", Why: "120 buckets were written to"},
				{Stripe: "s1", Bucket: "77", Why: "h3 does not answer"},
				{Stripe: "s1", Space: "game", Key: "chess", Why: "no member has a copy that passes its own check"},
			},
		}},
		Heals: []repair.Heal{
			{Stripe: "s2", Sick: "the log begins at 900, the store has 120", Phase: repair.HealPulling, Peer: "h3", Began: minutes(-5), Buckets: 8192, Verified: 3000, Documents: 1234, Bytes: 55 << 20, ETA: minutes(7), Why: "h1 does not answer", Tries: 2},
			{Stripe: "s3", Sick: "likewise", Phase: repair.HealWaiting, Why: "for its turn"},
		},
		Scrub: repair.ScrubState{Every: "336h", Pass: repair.ScrubProgress{Buckets: 16384, Read: 8192, ETA: minutes(7 * 24 * 60)}, LastEnded: minutes(-8 * 24 * 60)},
		Counters: repair.Counters{
			Rounds: 9, Verdicts: map[string]uint64{"missing": 2, "lag": 70}, Pulled: map[string]uint64{"missing": 2, "heal": 1234, "read": 0}, Dropped: 1, Undecided: 3, BytesPulled: 56 << 20,
		},
		Stripes: []repair.Clean{
			{Stripe: "s1", Position: "1-118", Buckets: 8192, Verified: 8192, Partitions: []repair.CleanPartition{{Partition: "00", Position: "1-118", At: minutes(-1), Against: "h3", Lagging: 120}}},
			{Stripe: "s2", Sick: "the log begins at 900, the store has 120", Buckets: 8192, Partitions: []repair.CleanPartition{{Partition: "01"}}},
		},
	}
	return s
}

// The screens of repair, at one moment.
func TestRepairScreens(t *testing.T) {
	paused := repairMoment.Add(time.Hour)
	host := func(name string, s *repair.Status) *hostStatus {
		return &hostStatus{Status: ops.Status{Host: name, At: repairMoment, Repair: s}, raw: []byte(`{"repair":{"heals":[]},"repair_cost":null}`)}
	}
	h2 := host("h2", healingStatus())
	h2.RepairCost = &ops.RepairCosts{
		All: ops.RepairCost{Rounds: 9, Sent: 9000, Received: 60 << 20, DiskReads: 2000, CPUSeconds: 4.25}, Healthy: ops.RepairCost{Rounds: 5, Sent: 4000, Received: 5000, CPUSeconds: 0.01},
	}
	s := &repairStatus{
		now:   repairMoment,
		hosts: []*hostStatus{host("h1", &repair.Status{Round: repair.RoundState{Running: true}}), h2, host("h3", &repair.Status{Paused: &paused}), host("h4", nil), host("h5", &repair.Status{})},
		jobs:  [][]ops.Job{nil, {{ID: "j1", Host: "h2", Kind: ops.JobScrub, Request: json.RawMessage(`{"stripe":"s1"}`), Began: repairMoment.Add(-3 * time.Minute)}}, nil, nil, nil},
		away:  []awayHost{{Host: "h6", Error: "host h6 does not answer"}},
	}
	var b bytes.Buffer
	s.print(&b, false)
	golden(t, "repair-status.txt", b.Bytes())
	b.Reset()
	s.hosts, s.jobs, s.away = s.hosts[1:2], s.jobs[1:2], nil
	s.print(&b, true)
	golden(t, "repair-status-host.txt", b.Bytes())
	b.Reset()
	if err := writeJSON(&b, s.view()); err != nil {
		t.Fatal(err)
	}
	golden(t, "repair-status.json", b.Bytes())
	if at, over := s.watched(); over || at.Done != 3000 || at.Of != 8192 || !strings.Contains(at.Note, "h2/s2 pulling, about 7m left, h2/s3 waiting, h2 scrub") {
		t.Errorf("%+v %v", at, over)
	}
}

// Watching ends when nothing heals any more.
func TestRepairWatch(t *testing.T) {
	c := newRepairCluster(t)
	var stdout, stderr bytes.Buffer
	if exit := run(t.Context(), []string{"-s", c.url, "repair", "status", "--watch"}, strings.NewReader(""), &stdout, &stderr); exit != 0 || !strings.Contains(stdout.String(), "HOST") {
		t.Errorf("exit %d: %s %s", exit, &stdout, &stderr)
	}
	c.hosts["h2"].set(func(h *repairHost) { h.repair = healingStatus() })
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan int, 1)
	go func() {
		ended <- run(t.Context(), []string{"-s", c.url, "-o", "json", "repair", "status", "--watch"}, strings.NewReader(""), write, &stderr)
		_ = write.Close()
	}()
	records := json.NewDecoder(read)
	var first step
	if err := records.Decode(&first); err != nil || first.Event != "progress" || first.Done != 3000 {
		t.Errorf("%+v, %v", first, err)
	}
	c.hosts["h2"].set(func(h *repairHost) { h.repair = nil })
	var last struct {
		Event string
		Hosts []repairView
	}
	for last.Event != "result" {
		if err := records.Decode(&last); err != nil {
			t.Fatal(err)
		}
	}
	if exit := <-ended; exit != 0 || len(last.Hosts) != 3 {
		t.Errorf("exit %d, %+v", exit, last)
	}
}

// What hosts do goes on when the command is interrupted; the same command waits for it
// again, and it can be stopped.
func TestJobsGoOn(t *testing.T) {
	c := newRepairCluster(t)
	nc, err := nats.Connect(c.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, h := range c.hosts {
		h.set(func(h *repairHost) { h.held = make(chan struct{}) })
	}
	spy, err := nc.SubscribeSync(ops.HostSubject("*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	// scrub runs the command until it has asked every host how far it is, and ends it.
	scrub := func() string {
		t.Helper()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		var out bytes.Buffer
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, []string{"-s", c.url, "scrub"}, strings.NewReader(""), &out, &out)
		}()
		begun, jobs := map[string]bool{}, map[string]string{} // by host
		for len(jobs) < 3 {
			m, err := spy.NextMsg(30 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			words := strings.Split(m.Subject, ".")
			switch host, verb := words[3], words[4]; {
			case verb == ops.VerbScrub:
				begun[host] = true
			case verb == ops.VerbJob && len(begun) == 3: // it has been told of all of them
				jobs[host] = string(m.Data)
			}
		}
		interrupt()
		if exit := <-ended; exit != 130 || !strings.Contains(out.String(), "it goes on at h1, h2, h3") {
			t.Errorf("exit %d: %s", exit, &out)
		}
		return fmt.Sprint(jobs)
	}
	if first, again := scrub(), scrub(); first != again {
		t.Errorf("jobs %s, and then %s", first, again)
	}
	var out bytes.Buffer
	if exit := run(t.Context(), []string{"-s", c.url, "repair", "stop"}, strings.NewReader(""), &out, &out); exit != 0 || strings.Count(out.String(), "stopped scrub") != 3 {
		t.Errorf("exit %d: %s", exit, &out)
	}
}

// A plan goes into a file, and out of it to the host that it is of.
func TestRepairPlanFile(t *testing.T) {
	c := newRepairCluster(t)
	c.hosts["h2"].set(func(h *repairHost) { h.plan.Ops = []plan.Op{pull("lost")} })
	path := filepath.Join(t.TempDir(), "plan.json")
	do := func(want int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if exit := run(t.Context(), append([]string{"-s", c.url}, args...), strings.NewReader(""), &out, &out); exit != want {
			t.Errorf("%v: exit %d, want %d; %s", args, exit, want, &out)
		}
		return out.String()
	}
	do(0, "repair", "plan", "--out", path)
	if got := do(5, "repair", "plan", "--out", path); !strings.Contains(got, "exists") {
		t.Errorf("%s", got)
	}
	do(0, "repair", "plan", "--out", path, "--yes")
	if got := do(5, "repair", "apply", path); !strings.Contains(got, `pull "lost" in space "game"`) || !strings.Contains(got, "--yes is missing") {
		t.Errorf("%s", got)
	}
	if got := do(0, "repair", "apply", path, "--yes"); !strings.Contains(got, "h2 pulled 1 document and") {
		t.Errorf("%s", got)
	}
	c.hosts["h2"].set(func(h *repairHost) {
		h.fail = errors.Join(repair.ErrMoved, errors.New("document game lost was at 1-7 and is at 1-9"))
	})
	if got := do(5, "repair", "apply", path, "--yes"); !strings.Contains(got, "is at 1-9") || !strings.Contains(got, "hint: make a new plan") {
		t.Errorf("%s", got)
	}
	c.hosts["h2"].set(func(h *repairHost) { h.fail = nil })
	c.hosts["h3"].set(func(h *repairHost) { h.plan.Ops = []plan.Op{pull("lost")} })
	if got := do(2, "repair", "plan", "--out", path, "--yes"); !strings.Contains(got, "h2 and h3 have something to repair") {
		t.Errorf("%s", got)
	}
	for _, h := range c.hosts {
		h.set(func(h *repairHost) { h.plan.Ops = nil })
	}
	if got := do(5, "repair", "plan", "--out", path, "--yes"); !strings.Contains(got, "no host has anything") {
		t.Errorf("%s", got)
	}
	do(0, "repair", "plan", "--out", path, "--yes", "--host", "h2")
	if got := do(0, "repair", "apply", path); !strings.Contains(got, "nothing to do") {
		t.Errorf("%s", got)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := do(2, "repair", "apply", path, "--yes"); !strings.Contains(got, "is not a plan") {
		t.Errorf("%s", got)
	}
}

// The evidence is in the file, and says what the answer says.
func TestVerifyEvidence(t *testing.T) {
	c := newRepairCluster(t)
	c.write(t, "lost", "h3")
	path := filepath.Join(t.TempDir(), "evidence.json")
	var out bytes.Buffer
	if exit := run(t.Context(), []string{"-s", c.url, "verify", "--evidence", path}, strings.NewReader(""), &out, &out); exit != 6 {
		t.Errorf("exit %d: %s", exit, &out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var e evidence
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	if e.Verdict != "FAIL" || len(e.Differences) != 1 || e.Differences[0].Key != "lost" || strings.Join(e.Differences[0].Wrong, " ") != "h3" || strings.Join(e.Differences[0].Right, " ") != "h1 h2" {
		t.Errorf("%s", text)
	}
	if e.By.Machine == "" || e.By.Program == "" || e.Ended.Before(e.Began) || len(e.Stripes) != 2 || len(e.Stripes[0].Members[2].Partitions) != 1 {
		t.Errorf("%s", text)
	}
	if exit := run(t.Context(), []string{"-s", c.url, "verify", "--evidence", filepath.Join(path, "no")}, strings.NewReader(""), &out, &out); exit != 1 {
		t.Errorf("exit %d for a file that cannot be written", exit)
	}
}

// Members that lag or are away are waited for.
func TestVerifyWaits(t *testing.T) {
	c := newRepairCluster(t)
	c.hosts["h1"].write(t, "new", `{}`)
	c.hosts["h2"].write(t, "new", `{}`)
	c.hosts["h3"].set(func(h *repairHost) { h.repair = &repair.Status{Damaged: 1} })
	asked := make(chan struct{})
	ended := make(chan int, 1)
	var out bytes.Buffer
	go func() {
		close(asked)
		ended <- run(t.Context(), []string{"-s", c.url, "verify", "--wait", "10m"}, strings.NewReader(""), &out, &out)
	}()
	<-asked
	c.hosts["h3"].write(t, "new", `{}`)
	c.hosts["h3"].set(func(h *repairHost) { h.repair = nil })
	if exit := <-ended; exit != 0 || !strings.Contains(out.String(), "PASS") {
		t.Errorf("exit %d: %s", exit, &out)
	}
}
