package ops

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	s := healthy()
	s.Assess()
	status := func() Status { return s }
	h := Handler(status, NewMetrics(status, "v0.1.0"), Options{})
	sick := healthy()
	sick.Stripes[0].Error = "the store is ahead of its log"
	sick.Assess()
	for _, c := range []struct {
		name, method, path string
		status             Status
		code               int
		kind, body         string // parts
	}{
		{"index", "GET", "/", s, 200, "text/plain", "/readyz"},
		{"alive", "GET", "/healthz", s, 200, "application/json", `"status": "ok"`},
		{"alive though not ready", "GET", "/healthz", sick, 200, "application/json", `"status": "ok"`},
		{"ready", "GET", "/readyz", s, 200, "application/json", `"ready": true,`},
		{"ready, asked by HEAD", "HEAD", "/readyz", s, 200, "application/json", ""},
		{"no conditions are []", "GET", "/readyz", s, 200, "application/json", `"conditions": []`},
		{"not ready", "GET", "/readyz", sick, 503, "application/json", "ahead of its log"},
		{"status", "GET", "/status", s, 200, "application/json", `"host": "h1"`},
		{"metrics", "GET", "/metrics", s, 200, "text/plain", "\ntrireme_ready 1\n"},
		{"metrics of a sick host", "GET", "/metrics", sick, 200, "text/plain", `trireme_condition{id="stripe-not-serving",severity="critical",subject="s1"} 1`},
		{"read-only", "POST", "/status", s, 405, "", ""},
		{"unknown", "GET", "/nothing", s, 404, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s
			defer func() { s = before }()
			s = c.status
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, http.NoBody))
			if w.Code != c.code || !strings.Contains(w.Header().Get("Content-Type"), c.kind) || !strings.Contains(w.Body.String(), c.body) {
				t.Errorf("%s %s: %d %s\n%s\nwant %d %s with %q", c.method, c.path, w.Code, w.Header().Get("Content-Type"), w.Body, c.code, c.kind, c.body)
			}
		})
	}
}

func TestHandlerSpeaksOpenMetrics(t *testing.T) {
	h := Handler(healthy, NewMetrics(healthy, "v0.1.0"), Options{})
	r := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "application/openmetrics-text") {
		t.Errorf("content type %q", kind)
	}
}

func TestServer(t *testing.T) {
	s := &Server{Listen: "127.0.0.1:0", Handler: Handler(healthy, NewMetrics(healthy, "v0.1.0"), Options{}), Logger: slog.New(slog.DiscardHandler)}
	if s.URL() != "" {
		t.Errorf("URL before Start: %q", s.URL())
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("Close before Start: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(s.URL() + "/status")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	var got Status
	if err != nil || json.Unmarshal(body, &got) != nil || got.Host != "h1" {
		t.Errorf("status %s, %v", body, err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if reply, err := client.Get(s.URL() + "/status"); err == nil {
		t.Error("the server answers after Close", reply.Body.Close())
	}
}

func TestServerNeedsItsAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := &Server{Listen: taken.Addr().String(), Handler: http.NotFoundHandler()}
	if err := s.Start(); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("Start on a taken address: %v", err)
	}
}
