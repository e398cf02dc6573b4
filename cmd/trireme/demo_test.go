package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trireme/internal/localcluster"
	"trireme/internal/position"
)

// TestDemo runs it twice on one directory, and ends it by a signal the second time.
func TestDemo(t *testing.T) {
	t.Parallel() // it waits, most of the time
	dir := filepath.Join(t.TempDir(), "demo")
	events := demoProcess(t, 0, "--dir", dir, "--duration", "3s", "--kill-every", "1s")
	kinds := map[string]int{}
	for _, e := range events {
		kinds[e["event"].(string)]++
	}
	last := events[len(events)-1]
	if kinds["hosts"] != 1 || kinds["second"] < 2 || kinds["kill"] == 0 || kinds["ended"] == 0 || last["event"] != "summary" {
		t.Errorf("it told %v, at last %v", kinds, last)
	}
	if last["acknowledged"].(float64) == 0 || last["lost"].(float64)+last["doubled"].(float64)+last["errors"].(float64) != 0 || last["kills"].(float64) != float64(kinds["kill"]) {
		t.Errorf("the summary is %v", last)
	}
	events = demoProcess(t, syscall.SIGINT, "--dir", dir)
	if last := events[len(events)-1]; last["event"] != "summary" || last["lost"].(float64) != 0 {
		t.Errorf("the summary is %v", last)
	}
	for _, host := range events[0]["hosts"].([]any) {
		if pid := int(host.(map[string]any)["pid"].(float64)); syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d is left", pid)
		}
	}
}

// demoProcess runs the demo, sends it a signal once it has told a second, if one is
// given, and wants exit code 0.
func demoProcess(t *testing.T, signal syscall.Signal, args ...string) []map[string]any {
	t.Helper()
	program, err := exec.LookPath("trireme")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"demo", "-o", "json"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(3*time.Minute, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	var events []map[string]any
	for lines := json.NewDecoder(stdout); ; {
		var e map[string]any
		if err := lines.Decode(&e); err != nil {
			break
		}
		events = append(events, e)
		if e["event"] == "second" && signal != 0 {
			_ = cmd.Process.Signal(signal) // again and again would end it at once
			signal = 0
		}
	}
	if err := cmd.Wait(); err != nil || len(events) == 0 {
		t.Fatalf("%v: %v\n%v\n%s", args, err, events, &stderr)
	}
	return events
}

func TestDemoRefuses(t *testing.T) {
	for _, args := range [][]string{{"--kill-every", "10ms"}, {"--duration", "-1s"}, {"--base-port", "70000"}, {"x"}} {
		var stdout, stderr bytes.Buffer
		if exit := run(t.Context(), append([]string{"demo"}, args...), strings.NewReader(""), &stdout, &stderr); exit != int(exitUsage) || stdout.Len() > 0 {
			t.Errorf("%v: exit %d %s%s", args, exit, &stdout, &stderr)
		}
	}
	dir := filepath.Join(t.TempDir(), "demo")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if exit := run(t.Context(), []string{"demo", "--dir", dir}, strings.NewReader(""), &stdout, &stderr); exit != int(exitFailed) || !strings.Contains(stderr.String(), "demo") {
		t.Errorf("a directory that is a file: exit %d %s", exit, &stderr)
	}
}

// Every event is a line of text and one of JSON.
func TestDemoEvents(t *testing.T) {
	var b bytes.Buffer
	a := &app{out: &b}
	d := &demo{app: a, stop: func() {}}
	epoch, err := position.Parse("1-7")
	if err != nil {
		t.Fatal(err)
	}
	d.owners = map[string]demoOwner{"s1": {"h1", epoch}, "s2": {"h2", epoch}, "s3": {"h1", epoch}}
	d.load = &demoLoad{}
	all := func() {
		d.tell(&demoHosts{Event: "hosts", Dir: "/tmp/demo", Hosts: []demoHostView{{"h1", 11, "nats://127.0.0.1:4001", "http://127.0.0.1:4201", "/tmp/demo/h1.log"}}})
		for _, event := range []string{"kill", "ended", "started", "silent", "answers", "spared", "cannot start", "cannot kill"} {
			d.tell(&demoHost{Event: event, Host: "h2", PID: 12, Error: "a <reason>"})
		}
		d.tell(&demoChange{Event: "owner", Stripe: "s1", From: "h1", To: "h2", Epoch: "1-9"})
		d.load.now = demoCount{
			changes: 3, reads: 2, errors: 1, said: "no\nquorum", took: []time.Duration{4 * time.Second, time.Millisecond, 2 * time.Millisecond},
			waited: map[string]time.Duration{"s2": 4 * time.Second},
		}
		d.second()
		d.tell(&demoSummary{Event: "summary", Acknowledged: 3, Reads: 2, Kills: 1, Pauses: 1, LongestMS: 4000})
	}
	all()
	a.output = asJSON
	all()
	golden(t, "demo.txt", b.Bytes())
}

func TestDemoTellsOfWritesThatFail(t *testing.T) {
	stopped := false
	d := &demo{app: &app{out: brokenPipe{}}, stop: func() { stopped = true }}
	d.tell(&demoSummary{})
	if !stopped || !errors.Is(d.writing, syscall.EPIPE) {
		t.Errorf("stopped %v: %v", stopped, d.writing)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestDemoLearnsOfOwners(t *testing.T) {
	var b bytes.Buffer
	d := newDemo(&app{out: &b, output: asJSON}, nil)
	say := func(owner, epoch string) {
		d.learn(localcluster.Status{Stripes: []localcluster.Stripe{{Name: "s1", Owner: owner, Epoch: epoch}}})
	}
	say("", "")
	say("h1", "1-10") // the first is no change
	say("h1", "1-12")
	say("h2", "1-9") // old news
	say("h2", "1-20")
	if got := strings.TrimSpace(b.String()); got != `{"event":"owner","seconds":0,"stripe":"s1","from":"h1","to":"h2","epoch":"1-20"}` {
		t.Error(got)
	}
}
