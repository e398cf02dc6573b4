package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
	"trireme/internal/localcluster"
	"trireme/ops"
	"trireme/streams"
)

// realCluster is three hosts as processes.
func realCluster(t *testing.T) *localcluster.Cluster {
	t.Helper()
	program, err := exec.LookPath("trireme")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "cluster")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := localcluster.New(ctx, localcluster.Config{Program: program, Dir: dir, Settings: "disk { reserve_bytes: 1MB }\nlog { max_bytes: 256MB }"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(c.Start(), c.AwaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestZombieDrill(t *testing.T) {
	t.Parallel() // it waits, most of the time
	c := realCluster(t)
	ask := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		exit := run(t.Context(), append([]string{"zombie-drill", "-s", c.Hosts[0].URL(), "-o", "json"}, args...), strings.NewReader(""), &stdout, &stderr)
		return exit, stdout.String(), stderr.String()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := c.Await(ctx, "a stripe that can lose its owner", func(context.Context) error {
		if _, _, told := ask(); strings.Contains(told, errNotNow.Error()) { // on a slow machine
			return errors.New(told)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if exit, out, told := ask(); exit != int(exitRefused) || out != "" || !strings.Contains(told, "would be frozen: process") || !strings.Contains(told, "--yes") {
		t.Errorf("without --yes: %d %s%s", exit, out, told)
	}
	if exit, _, told := ask("--stripe", "s99", "--yes"); exit != int(exitRefused) || !strings.Contains(told, "s99") {
		t.Errorf("a stripe that is not there: %d %s", exit, told)
	}
	exit, out, told := ask("--yes", "--docs", "3")
	if exit != 0 || told != "" {
		t.Fatalf("exit %d\n%s%s\n%s", exit, out, told, c.Tails(3000))
	}
	var r zombieReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if !r.Pass || len(r.Late) != 3 || r.Frozen == r.NewOwner || r.Log.Records == 0 || r.Log.Late != 0 {
		t.Errorf("%+v", r)
	}
	for _, l := range r.Late {
		if !l.Refused || l.Code == 0 || l.By != "new" || l.Seq != 2 {
			t.Errorf("%+v", l)
		}
	}
	if c.Host(r.Frozen).Pid() != r.PID {
		t.Errorf("process %d was frozen, %s is %d", r.PID, r.Frozen, c.Host(r.Frozen).Pid())
	}
	if err := c.AwaitReady(ctx); err != nil { // the one that was frozen goes on
		t.Error(err)
	}
}

func TestZombieDrillRefuses(t *testing.T) {
	well := func() ops.Stripe {
		return ops.Stripe{Name: "s1", Partitions: 3, Owner: "h1", MembersState: []ops.MemberView{{Host: "h1", Alive: true}, {Host: "h2", Alive: true}, {Host: "h3", Alive: true}}}
	}
	for name, c := range map[string]struct {
		change func(*ops.Stripe)
		says   string
	}{
		"no owner":    {func(s *ops.Stripe) { s.Owner = "" }, "nobody owns it"},
		"two members": {func(s *ops.Stripe) { s.MembersState = s.MembersState[:2] }, "2 members"},
		"one is away": {func(s *ops.Stripe) { s.MembersState[1].Alive = false }, "h2 is not there"},
		"one is sick": {func(s *ops.Stripe) { s.MembersState[2].Sick = "wiped" }, "h3 is sick: wiped"},
		"no load":     {func(s *ops.Stripe) { s.Partitions = 0 }, "no stripe carries anything"},
		"all is well": {func(*ops.Stripe) {}, ""},
	} {
		s := well()
		c.change(&s)
		_, err := pickStripe(&ops.Status{Stripes: []ops.Stripe{s}}, "")
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	served := ops.Status{Host: "h1", Stripes: []ops.Stripe{{Name: "s1", Owner: "h1", Phase: "serving"}, {Name: "s2", Owner: "h2", Phase: "waiting"}}}
	if p, err := servedBy(&served, "s1"); err != nil || p.Name != "s1" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := servedBy(&served, "s2"); !errors.Is(err, errNotNow) {
		t.Errorf("a stripe that has moved: %v", err)
	}
	for _, pid := range []int{0, 1, -1, os.Getpid()} {
		if _, err := ownProcess(pid); err == nil {
			t.Errorf("process %d may be frozen", pid)
		}
	}
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sleep.Process.Kill()
		_ = sleep.Wait() // it was killed
	}()
	if _, err := ownProcess(sleep.Process.Pid); err == nil || !strings.Contains(err.Error(), "is no trireme") {
		t.Errorf("any process may be frozen: %v", err)
	}
	for address, want := range map[string]bool{"127.0.0.1:4222": true, "localhost:1": true, "[::1]:2": true, "10.0.0.1:4222": false, "": false, "example.org:1": false} {
		if got := onLoopback(address); got != want {
			t.Errorf("%s is on loopback: %v", address, got)
		}
	}
	f := newFakeHost(t)
	var stdout, stderr bytes.Buffer
	if exit := run(t.Context(), []string{"zombie-drill", "-s", f.url, "--yes"}, strings.NewReader(""), &stdout, &stderr); exit != int(exitRefused) || !strings.Contains(stderr.String(), "hint: ") {
		t.Errorf("a host alone: %d %s", exit, &stderr)
	}
}

// A host that cannot tell the outcome is asked again under the same id, and what it
// says at last counts.
func TestZombieIsAskedAgain(t *testing.T) {
	nc, _ := testNATS(t)
	codes, ids := []contract.Code{contract.OutcomeUnknown, contract.OutcomeUnknown, contract.HeadDiffers}, make(chan string, 3)
	if _, err := nc.Subscribe(contract.SubjectPrefix+contract.OpPatch, func(m *nats.Msg) {
		answer := nats.NewMsg(m.Reply)
		answer.Header.Set(micro.ErrorCodeHeader, fmt.Sprint(uint32(codes[len(ids)])))
		ids <- m.Header.Get(contract.HeaderRequestID)
		_ = m.RespondMsg(answer) // a test that hears nothing fails
	}); err != nil {
		t.Fatal(err)
	}
	d := &zombieDoc{key: "k", lateID: "late-1"}
	z := &zombie{straight: nc, docs: []*zombieDoc{d}}
	if err := errors.Join(z.sendLate(d), z.hear(t.Context())); err != nil {
		t.Fatal(err)
	}
	if d.code != contract.HeadDiffers || len(ids) != 3 || <-ids != "late-1" || <-ids != "late-1" || <-ids != "late-1" {
		t.Errorf("%+v, %d requests", d, len(ids))
	}
}

// What may pass is waited for, what stays so is told at once.
func TestZombieWaitsForALeader(t *testing.T) {
	z, asked := &zombie{}, 0
	ask := func(last error) error {
		asked = 0
		return z.again(t.Context(), "the log", func(context.Context) error {
			if asked++; asked < 3 {
				return streams.ErrNoLeader
			}
			return last
		})
	}
	if err := ask(nil); err != nil || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	for _, stays := range []error{streams.ErrNoStream, streams.ErrConfig} {
		if err := ask(stays); !errors.Is(err, stays) || asked != 3 {
			t.Errorf("asked %d times: %v", asked, err)
		}
	}
}

func TestZombieReport(t *testing.T) {
	r := &zombieReport{
		Pass: true, Stripe: "s3", Frozen: "h3", PID: 4711, Epoch: "3-1", NewOwner: "h2", NewEpoch: "3-40", TakeoverMS: 5120, FrozenMS: 5380,
		Late: []zombieLate{
			{Space: zombieSpace, Key: "k1", Code: contract.HeadDiffers, Answer: "621580 head-differs", Refused: true, Seq: 2, By: "new"},
			{Space: zombieSpace, Key: "k2", Code: contract.Deposed, Answer: "1500003 deposed", Refused: true, Seq: 2, By: "new"},
		},
		Log: zombieLogReport{From: "3-1", To: "3-48", Records: 48}, Faults: []string{},
	}
	var b bytes.Buffer
	r.print(&b)
	r.Pass, r.Late[1] = false, zombieLate{Space: zombieSpace, Key: "k2", Answer: "success", Seq: 3, By: "late"}
	r.fault("the frozen owner's patch of %s was not refused: %s", "k2", "success")
	r.print(&b)
	golden(t, "zombie.txt", b.Bytes())
	b.Reset()
	if err := writeJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	golden(t, "zombie.json", b.Bytes())
}
