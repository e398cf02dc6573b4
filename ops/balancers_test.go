package ops

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"trireme/internal/config"
	"trireme/internal/layout"
)

// everywhere answers for all partitions of a layout.
type everywhere struct{ layout layout.Layout }

func (e everywhere) RoutePartition(id layout.PartitionID) (Route, bool) {
	p, found := e.layout.Partition(id)
	return Route{Host: "h1", Adama: "h1:8080", Partition: id, Stripe: p.Stripe, Here: true}, found
}

func (e everywhere) RouteDocument(space, key string) Route {
	r, _ := e.RoutePartition(0)
	return r
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// all returns what the one group of a pattern matches, each once, sorted.
func all(pattern, text string) (found []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// The samples for load balancers ask for what a host answers, where it answers.
func TestBalancersAskForWhatThereIs(t *testing.T) {
	_, port, err := net.SplitHostPort(config.Default().HTTP)
	if err != nil {
		t.Fatal(err)
	}
	l := layout.Single("h1")
	s := healthy()
	s.Assess()
	h := Handler(func() Status { return s }, NewMetrics(healthy, ""), Options{Routing: everywhere{l}})
	haproxy, nginx := read(t, "haproxy.cfg"), read(t, "nginx.conf")
	checks := all(`(?m)^  http-check send meth GET uri (\S+)$`, haproxy)
	if len(checks) != len(l.Partitions)+1 {
		t.Errorf("HAProxy checks %d paths, want those of %d partitions and /readyz", len(checks), len(l.Partitions))
	}
	for _, p := range l.Partitions {
		if !slices.Contains(checks, "/owner/"+p.ID.String()) || !strings.Contains(haproxy, "\nbackend p"+p.ID.String()+"\n") {
			t.Errorf("partition %s has no backend or no check", p.ID)
		}
	}
	asked := slices.Concat(checks,
		all(`use_backend routes if \{ path (\S+) \}`, haproxy),
		all(`proxy_pass http://trireme(/\w+)`, nginx))
	for _, path := range asked {
		if path == "/route" {
			path += "?space=s&key=k"
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody)); w.Code != http.StatusOK {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
	if len(asked) != len(checks)+2 {
		t.Errorf("%v: want /route twice", asked)
	}
	for what, got := range map[string][]string{
		"the ports that HAProxy checks":  all(`check port (\d+)`, haproxy),
		"the ports that HAProxy asks":    all(`(?m):(\d+) check$`, haproxy),
		"the ports that nginx asks":      all(`server 10\.0\.0\.\d:(\d+);`, nginx),
		"the port of Trireme by default": {port},
	} {
		if !slices.Equal(got, []string{port}) {
			t.Errorf("%s: %v, want %s", what, got, port)
		}
	}
	if name := strings.ToLower(HeaderAdama); !strings.Contains(nginx, "$upstream_http_"+strings.ReplaceAll(name, "-", "_")) {
		t.Errorf("nginx does not read %s", HeaderAdama)
	}
}

func TestHAProxyIsWhatItsScriptWrites(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh")
	}
	got, err := exec.CommandContext(t.Context(), sh, "haproxy.sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != read(t, "haproxy.cfg") {
		t.Error("haproxy.cfg differs: run sh haproxy.sh > haproxy.cfg in ops/")
	}
}
