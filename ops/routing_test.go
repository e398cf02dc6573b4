package ops

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trireme/internal/layout"
)

// routes is what h1 knows: it owns partition 7, h2 owns 8, nobody owns 9.
type routes struct{}

func (routes) RoutePartition(id layout.PartitionID) (Route, bool) {
	r := Route{Partition: id, Stripe: "s1"}
	switch id {
	case 7:
		r.Host, r.NATS, r.HTTP, r.Adama, r.Epoch, r.Here = "h1", "h1:4222", "h1:7422", "h1:8080", "1-7", true
	case 8:
		r.Host, r.NATS, r.HTTP, r.Adama, r.Epoch = "h2", "h2:4222", "h2:7422", "h2:8080", "1-9"
	case 9:
	default:
		return Route{}, false
	}
	return r, true
}

func (r routes) RouteDocument(space, _ string) Route {
	id := map[string]layout.PartitionID{"here": 7, "there": 8}[space]
	if id == 0 {
		id = 9
	}
	route, _ := r.RoutePartition(id)
	return route
}

func TestRouting(t *testing.T) {
	identity := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("who I am")) })
	h := Handler(healthy, NewMetrics(healthy, ""), Options{Routing: routes{}, Identity: identity})
	for _, c := range []struct {
		method, path string
		code         int
		owner, adama string // headers
		body         string
	}{
		{"GET", "/owner/07", 200, "h1", "h1:8080", `{"partition":7,"stripe":"s1","owner":"h1","epoch":"1-7"}`},
		{"HEAD", "/owner/07", 200, "h1", "h1:8080", ``},
		{"GET", "/owner/7", 200, "h1", "h1:8080", `{"partition":7,"stripe":"s1","owner":"h1","epoch":"1-7"}`},
		{"GET", "/owner/08", 503, "h2", "h2:8080", `{"partition":8,"stripe":"s1","owner":"h2","epoch":"1-9"}`},
		{"HEAD", "/owner/08", 503, "h2", "h2:8080", ``},
		{"GET", "/owner/09", 503, "", "", `{"partition":9,"stripe":"s1","owner":"","epoch":""}`},
		{"GET", "/owner/64", 404, "", "", `{"error":"thelayouthasnopartition\"64\""}`},
		{"GET", "/owner/x", 404, "", "", `{"error":"thelayouthasnopartition\"x\""}`},
		{"GET", "/owner/-1", 404, "", "", `{"error":"thelayouthasnopartition\"-1\""}`},
		{"GET", "/owner/4294967303", 404, "", "", `{"error":"thelayouthasnopartition\"4294967303\""}`},
		{"POST", "/owner/07", 405, "", "", `MethodNotAllowed`},
		{
			"GET", "/route?space=there&key=a%2Fb", 200, "h2", "h2:8080",
			`{"host":"h2","nats":"h2:4222","http":"h2:7422","adama":"h2:8080","partition":8,"stripe":"s1","epoch":"1-9"}`,
		},
		{"HEAD", "/route?space=here&key=k", 200, "h1", "h1:8080", ``},
		{"GET", "/route?space=nowhere&key=k", 503, "", "", `{"host":"","nats":"","http":"","adama":"","partition":9,"stripe":"s1","epoch":""}`},
		{"GET", "/route", 400, "", "", `{"error":"1500005malformed:spaceismissingorempty:sendatextof1to1024bytes"}`},
		{"GET", "/route?space=s", 400, "", "", `{"error":"1500005malformed:keyismissingorempty:sendatextof1to1024bytes"}`},
		{"GET", "/route?space=s&key=%ff", 400, "", "", `{"error":"1500005malformed:key\"\\xff\"isnotvalidUTF-8"}`},
		{"GET", "/route?space=s&key=" + strings.Repeat("k", 1025), 400, "", "", `{"error":"1500006too-large:keyhas1025bytes,thelimitis1024"}`},
		{"GET", "/identity", 200, "", "", "whoIam"},
		{"HEAD", "/identity", 200, "", "", "whoIam"}, // the recorder keeps it, a server does not
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, http.NoBody))
		body := strings.Join(strings.Fields(w.Body.String()), "")
		if c.method == http.MethodHead && c.body == "" {
			body = ""
		}
		if w.Code != c.code || body != c.body || w.Header().Get(HeaderOwner) != c.owner || w.Header().Get(HeaderAdama) != c.adama {
			t.Errorf("%s %s: %d %s %v\nwant %d %s", c.method, c.path, w.Code, body, w.Header(), c.code, c.body)
		}
	}
}

// A host that stands alone and has no routing says so.
func TestNoRouting(t *testing.T) {
	h := Handler(healthy, NewMetrics(healthy, ""), Options{})
	for _, path := range []string{"/owner/07", "/route?space=s&key=k", "/identity"} {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody)); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
