package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"trireme/internal/config"
	"trireme/internal/layout"
	"trireme/internal/layoutfile"
)

// inCluster makes a directory with the layouts of the golden files, and goes there.
func inCluster(t *testing.T) {
	t.Helper()
	hosts, err := parseHosts([]string{"h1=10.0.0.1,h2=10.0.0.2,h3=10.0.0.3,adama=10.0.0.3:8080"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := layout.Generate(layout.Plan{Hosts: hosts, StripesPerHost: 1, Partitions: 4})
	if err != nil {
		t.Fatal(err)
	}
	moved := l
	moved.Version = 2
	moved.Partitions = append([]layout.Partition{}, l.Partitions...)
	moved.Partitions[3].Stripe = "s2"
	moved.Hosts = append([]layout.Host{}, l.Hosts...)
	moved.Hosts[0].NATS = "10.0.0.9:4222"
	t.Chdir(t.TempDir())
	for name, text := range map[string][]byte{
		"layout.conf": layoutfile.Format(l), "moved.conf": layoutfile.Format(moved), "half.conf": layoutfile.Format(l)[:500],
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The JSON of the layout commands is promised, like that of the others.
func TestLayoutGolden(t *testing.T) {
	golden, err := filepath.Abs(filepath.Join("testdata", "golden"))
	if err != nil {
		t.Fatal(err)
	}
	inCluster(t)
	for _, c := range []struct {
		name, args string
		exit       int
	}{
		{"layout-generate", "generate --hosts h1 --partitions 2 --stripes-per-host 1", 0},
		{"layout-generate-out", "generate --hosts h1=a,h2=b --partitions 2 --stripes 1 --out new.conf", 0},
		{"layout-validate", "validate layout.conf half.conf none.conf", 3},
		{"layout-validate-follows", "validate layout.conf moved.conf --follows layout.conf", 3},
		{"layout-show", "show layout.conf", 0},
		{"layout-diff", "diff layout.conf moved.conf", 3},
		{"layout-diff-none", "diff layout.conf layout.conf", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			args := append([]string{"layout"}, append(strings.Fields(c.args), "-o", "json")...)
			if exit := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); exit != c.exit {
				t.Errorf("exit %d, want %d", exit, c.exit)
			}
			if stderr.Len() > 0 {
				t.Errorf("stderr %s", &stderr)
			}
			path := filepath.Join(golden, c.name+".json")
			if *rewrite {
				if err := os.WriteFile(path, stdout.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if stdout.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", &stdout, want)
			}
		})
	}
}

func TestParseHosts(t *testing.T) {
	want := []layout.Host{
		{Name: "h1", NATS: "10.0.0.1:4222", Route: "10.0.0.1:6222", HTTP: "10.0.0.1:7422", Adama: "10.0.0.1:8080"},
		{Name: "h2", NATS: "[::2]:4333", Route: "[::2]:6222", HTTP: "h2.example.org:80"},
		{Name: "h3", NATS: "a:4222", Route: "b:6222", HTTP: "c:7422", Adama: "https://adama.example/3"},
		{Name: "h4"},
	}
	for _, values := range [][]string{
		{"h1=10.0.0.1,adama=8080,h2=::2,nats=4333,http=h2.example.org:80,h3,nats=a:4222,route=b:6222,http=c:7422,adama=https://adama.example/3,h4"},
		{"h1=10.0.0.1", "adama=10.0.0.1:8080 h2=[::2] nats=4333", "http=h2.example.org:80\n h3,,nats=a:4222 route=b:6222,http=c:7422,adama=https://adama.example/3", "h4"},
	} {
		got, err := parseHosts(values)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %+v", values, err, got)
		}
	}
	for value, want := range map[string]string{
		"nats=4222":                      "stands before a host",
		"h1=":                            "h1= is empty",
		"h1=a,nats=":                     "nats= is empty",
		"h1=a,nats=1,h2=b,nats=1,nats=2": "nats=2 is the second nats of h2",
	} {
		if _, err := parseHosts([]string{value}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", value, err, want)
		}
	}
}

// The files of a local cluster are what `trireme serve` reads, and are meant for one
// another.
func TestGenerateLocal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a dir \"x\"")
	var stdout, stderr bytes.Buffer
	args := []string{"layout", "generate", "--local", "4", "--dir", dir, "--base-port", "20000", "--adama-base-port", "21000", "--stripes", "8"}
	if exit := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); exit != 0 {
		t.Fatalf("exit %d: %s", exit, &stderr)
	}
	l, err := layoutfile.Load(filepath.Join(dir, "layout.conf"))
	if err != nil {
		t.Fatal(err)
	}
	want := layout.Host{Name: "h2", NATS: "127.0.0.1:20002", Route: "127.0.0.1:20102", HTTP: "127.0.0.1:20202", Adama: "127.0.0.1:21002"}
	if len(l.Hosts) != 4 || l.Hosts[1] != want || len(l.Stripes) != 8 {
		t.Errorf("layout %+v", l)
	}
	password := ""
	for _, h := range l.Hosts {
		path := filepath.Join(dir, h.Name+".conf")
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.Host != h.Name || c.Listen != h.NATS || c.HTTP != h.HTTP || c.Data != filepath.Join(dir, h.Name) || c.Layout != filepath.Join(dir, "layout.conf") {
			t.Errorf("configuration of %s: %+v", h.Name, c)
		}
		if c.Cluster.Name != "trireme" || c.Cluster.User != "route" || len(c.Cluster.Password) < 20 || len(c.Clients) != 0 {
			t.Errorf("configuration of %s: %+v, clients %v", h.Name, c.Cluster, c.Clients)
		}
		if password != "" && c.Cluster.Password != password {
			t.Errorf("%s has another password", h.Name)
		}
		password = c.Cluster.Password
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v: mode %v", err, info.Mode())
		}
	}
	if strings.Contains(stdout.String()+stderr.String(), password) {
		t.Error("the password is told")
	}
}
