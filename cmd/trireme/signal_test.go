package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A host that answers from a container or another machine names a process that is
// something else here: it must not be signalled.
func TestSignalsReachHostsOnly(t *testing.T) {
	for pid, want := range map[int]string{
		0:           "does not tell its process",
		1:           "on this machine",
		os.Getpid(): "on this machine", // a test, not a host
		1 << 30:     "on this machine",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"host":"h1","pid":` + strconv.Itoa(pid) + `}`)) // the client tells
		}))
		defer server.Close()
		var out, said strings.Builder
		code := run(t.Context(), []string{"signal", "reload", "--http", server.URL}, nil, &out, &said)
		if code != int(exitRefused) || !strings.Contains(said.String(), want) || out.Len() > 0 {
			t.Errorf("process %d: exit %d, %q, %q; want it refused with %q", pid, code, out.String(), said.String(), want)
		}
	}
}

// A host that lives and is not ready is told apart by its exit code.
func TestHealthcheckOfAHostThatIsNotReady(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == readyPage {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"ready":false,"conditions":[{"id":"host-held","severity":"critical","text":"its disk is empty","remedy":"wait"}]}`))
		}
	}))
	defer server.Close()
	for args, want := range map[string]struct {
		code exitCode
		out  string
	}{
		"":                {exitOK, "the host lives\n"},
		"--ready":         {exitDegraded, "the host is not ready\n\nCRITICAL host-held: its disk is empty\n  remedy: wait\n"},
		"--ready -o json": {exitDegraded, `"id": "host-held"`},
	} {
		var out, said strings.Builder
		code := run(t.Context(), append([]string{"healthcheck", "--http", server.URL}, strings.Fields(args)...), nil, &out, &said)
		if code != int(want.code) || !strings.Contains(out.String(), want.out) || said.Len() > 0 {
			t.Errorf("healthcheck %s: exit %d, %q, %q; want %d and %q", args, code, out.String(), said.String(), want.code, want.out)
		}
	}
}
