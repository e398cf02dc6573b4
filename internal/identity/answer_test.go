package identity

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func anAnswer(host string) Answer {
	return Answer{Host: host, Disk: "D", Boot: 2, Begun: true, Cluster: "c", State: Serving, Healthy: true, Seen: Seen{
		Layout: 1, Hosts: map[string]Sighting{"h1": {Disk: "E", Boot: 1, Durable: map[string]uint64{"s1": 5}}},
	}}
}

func TestAskAndAnswer(t *testing.T) {
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	want := anAnswer("h1")
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := gone.Addr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	held, heldAnswer := make(chan struct{}), anAnswer("held")
	heldAnswer.State, heldAnswer.Verdict = HeldBack, &Verdict{Kind: Held, Reason: "because", Situation: "x"}
	replies := func(ctx context.Context) map[string]Reply {
		return Ask(ctx, map[string]string{
			"h1":       serve(Handler(func() Answer { return want }).ServeHTTP),
			"held":     serve(Handler(func() Answer { return heldAnswer }).ServeHTTP),
			"other":    serve(Handler(func() Answer { return want }).ServeHTTP),
			"nobody":   nobody,
			"nowhere":  "no address",
			"silent":   serve(func(_ http.ResponseWriter, r *http.Request) { <-held }),
			"broken":   serve(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) }),
			"moved":    serve(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }),
			"nonsense": serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
			"endless": serve(func(w http.ResponseWriter, _ *http.Request) {
				for line := strings.Repeat(" ", 1<<16); ; {
					if _, err := io.WriteString(w, line); err != nil {
						return
					}
				}
			}),
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	got := replies(ctx)
	close(held)
	for _, a := range []Answer{want, heldAnswer} {
		if r := got[a.Host]; r.Err != nil || !reflect.DeepEqual(r.Answer, a) {
			t.Errorf("%s: %+v, %v; want %+v", a.Host, r.Answer, r.Err, a)
		}
	}
	for name, part := range map[string]string{
		"other": `answers "h1", not other: correct the addresses`, "nobody": "refused", "nowhere": "address of nowhere", "silent": "deadline",
		"broken": "503", "moved": "302", "nonsense": "invalid character", "endless": "more than",
	} {
		if r := got[name]; r.Err == nil || !strings.Contains(r.Err.Error(), part) {
			t.Errorf("%s: error %v, want %q", name, r.Err, part)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if r := Ask(over, map[string]string{"h1": nobody})["h1"]; !errors.Is(r.Err, context.Canceled) {
		t.Errorf("asked when it is over: %v", r.Err)
	}
}

func TestHandlerOnlyTells(t *testing.T) {
	h := Handler(func() Answer { return anAnswer("h1") })
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/identity", http.NoBody))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", method, w.Code, want)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	text, err := json.Marshal(anAnswer("h2"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"host":"h2","disk":"D","state":"dreaming","cluster":"c","seen":{"hosts":{"h1":{}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := ParseAnswer(text)
		if err != nil {
			return
		}
		facts := member(true, 0, 0)
		facts.Replies["h2"] = Reply{Answer: a} // whatever was parsed can be judged
		Admit(facts)
		facts = member(false, 3, 5)
		facts.Replies["h2"] = Reply{Answer: a}
		Admit(facts)
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseAnswer(again); err != nil || !reflect.DeepEqual(back, a) {
			t.Fatalf("%s reads back as %+v, %v", again, back, err)
		}
	})
}
