package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"trireme/internal/identity"
	"trireme/ops"
)

// What differs from run to run: where h3 answers, why h4 does not, how long it took.
var differs = regexp.MustCompile(`127\.0\.0\.1:\d+|ask http://127\.0\.0\.1:1: .*refused|"pause_ms": [0-9.]+|paused for \d+ ms`)

func settled(text []byte) []byte {
	return differs.ReplaceAllFunc(text, func(m []byte) []byte {
		switch {
		case bytes.HasPrefix(m, []byte("ask")):
			return []byte("ask http://h4: connection refused")
		case bytes.HasPrefix(m, []byte(`"pause`)):
			return []byte(`"pause_ms": 1.5`)
		case bytes.HasPrefix(m, []byte("paused")):
			return []byte("paused for 2 ms")
		}
		return []byte("ADDRESS")
	})
}

func TestClusterGolden(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		exit int
		fail error // of moves
	}{
		{"cluster-status", "status", 3, nil},
		{"cluster-status-host", "status --host h2", 0, nil},
		{"cluster-status-held", "status --host h3", 3, nil},
		{"error-host-down", "status --host h4", 4, nil},
		{"error-host-unknown", "status --host h9", 4, nil},
		{"owner", "owner", 0, nil},
		{"owner-move", "owner move s1 h2", 0, nil},
		{"owner-move-nothing", "owner move s1 h1", 0, nil},
		{"error-move-member", "owner move s1 h4", 5, nil},
		{"error-move-stripe", "owner move s9 h1", 5, nil},
		{"error-move-refused", "owner move s1 h2", 5, &ops.Refusal{Code: ops.CodeRefused, Text: "host h2 cannot take stripe s1: it is sick", Hint: "choose h3"}},
		{"error-move-failed", "owner move s1 h2", 1, &ops.Refusal{Code: ops.CodeTimeout, Text: "h2 has not taken it in 30s"}},
		{"error-move-name", "owner move s.1 h2", 2, nil},
		{"drain", "drain h1", 0, nil},
		{"drain-wait", "drain h1 --wait", 0, nil},
		{"drain-undo", "drain h1 --undo", 0, nil},
		{"error-drain-undo-wait", "drain h1 --undo --wait", 2, nil},
		{"error-drain-unknown", "drain h9", 4, nil},
		{"error-drain-stuck", "drain h1 --wait --timeout 1s", 1, fmt.Errorf("no member can take it")},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeCluster(t)
			f.refuse(c.fail)
			for _, form := range []string{table, asJSON} {
				if strings.HasPrefix(c.name, "cluster-status") && form == table {
					continue // it tells how long hosts are up: see below
				}
				var stdout, stderr bytes.Buffer
				args := append([]string{"-s", f.url, "-o", form}, strings.Fields(c.args)...)
				if exit := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); exit != c.exit {
					t.Errorf("%s: exit %d, want %d; %s", form, exit, c.exit, &stderr)
				}
				f.reset()
				if form == table {
					golden(t, c.name+".txt", settled(append(stdout.Bytes(), stderr.Bytes()...)))
					continue
				}
				answer, silent := &stdout, &stderr
				if strings.HasPrefix(c.name, "error") {
					answer, silent = silent, answer
				}
				if silent.Len() > 0 || !json.Valid(answer.Bytes()) {
					t.Errorf("%s and on the other stream %q", answer, silent)
				}
				golden(t, c.name+".json", settled(answer.Bytes()))
			}
		})
	}
}

// The screens of the cluster, at one moment.
func TestClusterScreens(t *testing.T) {
	f := newFakeCluster(t)
	f.drain("h2")
	a := &app{server: f.url, timeout: 20 * time.Second}
	w, err := a.watcher(&cobra.Command{Use: "trireme"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	c, err := w.cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.first.Host != "h1" { // whichever answered: the screen is that of h1
		c.first = c.host("h1")
	}
	for _, h := range c.hosts {
		h.now = time.Date(2026, 1, 3, 3, 4, 5, 0, time.UTC)
		for i := range h.Hosts { // columns are as wide as what is in them
			h.Hosts[i].HTTP = h.Hosts[i].Name + ":7422"
		}
	}
	var b bytes.Buffer
	c.print(&b)
	golden(t, "cluster.txt", settled(b.Bytes()))
	for _, host := range []string{"h1", "h3"} {
		b.Reset()
		c.host(host).print(&b)
		golden(t, "cluster-"+host+".txt", settled(b.Bytes()))
	}
}

// A host that is held back has no NATS: it is asked over HTTP, by its own address.
func TestStatusOverHTTP(t *testing.T) {
	f := newFakeCluster(t)
	for args, want := range map[string]string{
		"status -s http://" + f.held:             "host h3: held back",
		"status --host h3 -s http://" + f.held:   "host h3: held back",
		"status -s http://" + f.held + "/":       "host-held",
		"status --host h3 --server " + f.url:     "it comes in empty by itself",
		"status --host h2 -s http://" + f.held:   "", // h3 knows nobody
		"status -s http://127.0.0.1:1":           "",
		"status -s http://" + f.held + "/status": "",
	} {
		var stdout, stderr bytes.Buffer
		exit := run(t.Context(), strings.Fields(args), strings.NewReader(""), &stdout, &stderr)
		if want == "" && (exit != 4 || stdout.Len() > 0 || stderr.Len() == 0) || want != "" && (exit != 3 || !strings.Contains(stdout.String(), want)) {
			t.Errorf("%s: exit %d\n%s\n%s", args, exit, &stdout, &stderr)
		}
	}
}

// heldHost is the HTTP of a host that is held back until it finds an order.
func heldHost(t *testing.T, dir string, v *identity.Verdict) string {
	t.Helper()
	return heldServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := identity.Answer{Host: "h3", Disk: "d3", Cluster: "trireme", State: identity.HeldBack, Verdict: v}
		if o, err := identity.ReadOrder(dir); err != nil || o != nil || v == nil {
			answer.State, answer.Verdict = identity.Serving, nil
		}
		identity.Handler(func() identity.Answer { return answer }).ServeHTTP(w, r)
	}))
}

func TestReadmit(t *testing.T) {
	verdict := &identity.Verdict{
		Kind: identity.Held, Reason: "the disk is empty, but h1 has seen this host with disk d0 at boot 4", Next: "bring the right disk back",
		Stake: []string{"stripe s1: changes that only this host and h2 have"}, Missing: []string{"h2"}, Situation: "held trireme h3",
	}
	dir := t.TempDir()
	config := func(t *testing.T, address, more string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "h3.conf")
		text := fmt.Sprintf("host: h3\ndata: %q\nhttp: %q\n%s", dir, address, more)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const clustered = "layout: /etc/trireme/layout.conf\n"
	at := heldHost(t, dir, verdict)
	for _, c := range []struct {
		name, args string
		exit       int
	}{
		{"error-readmit-config", "", 2},
		{"error-readmit-alone", "-c " + config(t, at, ""), 2},
		{"error-readmit-away", "-c " + config(t, "127.0.0.1:1", clustered), 4},
		{"error-readmit-well", "-c " + config(t, heldHost(t, dir, nil), clustered), 5},
		{"readmit-plan", "-c " + config(t, at, clustered), 5},
		{"readmit", "--yes -c " + config(t, at, clustered), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := append([]string{"host", "readmit"}, strings.Fields(c.args)...)
			if exit := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); exit != c.exit {
				t.Errorf("exit %d, want %d", exit, c.exit)
			}
			text := bytes.ReplaceAll(append(stdout.Bytes(), stderr.Bytes()...), []byte(dir), []byte("DIR"))
			golden(t, c.name+".txt", settled(text))
		})
	}
	order, err := identity.ReadOrder(dir)
	if err != nil || order == nil || order.Situation != verdict.Situation {
		t.Errorf("the order is %+v, %v", order, err)
	}
}
