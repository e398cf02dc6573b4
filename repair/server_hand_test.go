package repair

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// TestByHand asks as an operator does with `nats req`: from outside, without naming a
// version, a layout or oneself.
func TestByHand(t *testing.T) {
	server := aServer(t)
	source, wants := filled(t, 10, 20, 200_000)
	source.sick["s4"] = "its log was trimmed"
	serving(t, logConn(t, server), source, Limits{})
	nc, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	hand := func(endpoint, request string) string {
		t.Helper()
		m, err := nc.Request(Subject("h1", endpoint), []byte(request), wirePatience)
		if err != nil {
			t.Fatalf("%s: %v", endpoint, err)
		}
		if code := m.Header.Get(micro.ErrorCodeHeader); code != "" {
			return code + " " + m.Header.Get(micro.ErrorHeader) + " " + string(m.Data)
		}
		if !json.Valid(m.Data) {
			t.Errorf("%s answers %s", endpoint, m.Data)
		}
		return string(m.Data)
	}
	key := string(marshal(t, wants[0].Key))
	b := bucketOf(wants[0].Key)
	part, _ := source.layout.Load().PartitionOf(b)
	for _, c := range []struct {
		endpoint, request string
		want              []string
	}{
		{EndpointRoots, "", []string{`"host": "h1"`, `"layout": 12`, `"stripe": "s1"`, `"stripe": "s6"`, `"applied": "2-4"`, `"root": "`, `"sick": "its log was trimmed"`}},
		{EndpointRoots, `{"stripes":["s2"],"partitions":true}`, []string{`"partition": 1`, `"partition": 61`}},
		{EndpointStand, `{"stripe":"s2"}`, []string{`"applied": "2-4"`, `"epoch": "2-1"`, `"chain": "`}},
		{EndpointBuckets, string(marshal(t, map[string]any{"partitions": []any{part.ID}})), []string{`"bucket": ` + b.String(), `"digest": "`}},
		{EndpointIndex, `{"bucket":` + b.String() + `}`, []string{`"key": "` + wants[0].Key.Key, `"more": false`, `"live": true`}},
		{EndpointDocument, key, []string{`"checked": "ok"`, `"head": 1`, `"position": "` + wants[0].Position.String(), `"digest": "` + wants[0].Digest.String(), `"image": `}},
		{EndpointDocument, `{"space":"no","key":"body"}`, []string{`"checked": "absent"`}},
		// What is wrong is told with what would be right.
		{EndpointStand, "", []string{"400", `send {"stripe":"s1"}`}},
		{EndpointBuckets, "", []string{"400", `send {"partitions":[7]}`}},
		{EndpointDocument, "", []string{"400", `send {"space":"...","key":"..."}`}},
		{EndpointDocuments, "", []string{"400", `send {"documents":[{"space":"...","key":"..."}]}`}},
		{EndpointIndex, `{"bucket":16384}`, []string{"400", "0 to 16383"}},
		{EndpointIndex, `{"bucket":1,"limit":2000}`, []string{"400", "1 to 1024"}},
		{EndpointIndex, `{"bukket":1}`, []string{"400", "bukket"}},
		{EndpointIndex, `{"bucket":1}{}`, []string{"400"}},
		{EndpointIndex, `bucket 1`, []string{"400"}},
		{EndpointIndex, `{"version":2,"bucket":1,"news":true}`, []string{"505", "version 1"}},
		{EndpointIndex, `{"bucket":1,"layout":11,"layout_digest":"x"}`, []string{"412", "layout 12"}},
		{EndpointIndex, `{"bucket":1,"birth":7}`, []string{"412", "birth 1"}},
		{EndpointIndex, `{"bucket":1,"stripe":"s3"}`, []string{"400", "stripe s1 carries that"}},
		{EndpointBuckets, `{"partitions":[99]}`, []string{"400", "no partition 99"}},
		{EndpointBuckets, `{"partitions":[1,2]}`, []string{"400", "on stripe s3"}},
		{EndpointBuckets, `{"partitions":[1,1]}`, []string{"400", "twice"}},
		{EndpointStand, `{"stripe":"s9"}`, []string{"404"}},
		{EndpointStand, `{"stripe":"s4"}`, []string{"409", "its log was trimmed"}},
		{EndpointDocuments, `{"documents":[{"space":"a","key":"b"},{"space":"a","key":"c"},{"space":"a","key":"d"}]}`, []string{"400", "one stripe at a time"}},
		{EndpointDocuments, string(marshal(t, documentsAsk{Documents: keysIn(six(), "s2", maxKeys+1)})), []string{"413"}},
		{EndpointRoots, strings.Repeat(" ", maxRequest+1), []string{"413"}},
	} {
		got := hand(c.endpoint, c.request)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s %.100s answers\n%.2000s\nwithout %q", c.endpoint, c.request, got, want)
			}
		}
	}

	// The stream, as far as the window goes.
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest(Subject("h1", EndpointDocuments), sub.Subject, marshal(t, map[string]any{"documents": keysOf(wants)})); err != nil {
		t.Fatal(err)
	}
	var kinds string
	for !strings.HasSuffix(kinds, "E") {
		m, err := sub.NextMsg(wirePatience)
		if err != nil {
			t.Fatalf("after %s: %v", kinds, err)
		}
		f, err := parseFrame(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		kinds += string(rune(f.kind))
	}
	if kinds != "HDE" {
		t.Errorf("the stream is %s", kinds)
	}

	// What `nats service info trireme-repair` and `stats` ask.
	for subject, want := range map[string]string{
		"$SRV.INFO.trireme-repair":  `"subject":"trireme.repair.h1.roots","queue_group":""`,
		"$SRV.STATS.trireme-repair": `"documents_bytes"`,
		"$SRV.PING":                 `"name":"trireme-repair"`,
	} {
		m, err := nc.Request(subject, nil, wirePatience)
		if err != nil || !strings.Contains(string(m.Data), want) || !strings.Contains(string(m.Data), `"version":"1.2.3"`) {
			t.Errorf("%s: %v %s", subject, err, m.Data)
		}
	}
}

// TestAPeerPullsFromOutside: an operator's program may pull, credit and all.
func TestAPeerPullsFromOutside(t *testing.T) {
	server := aServer(t)
	source, wants := filled(t, 300_000, 10, 300_000)
	s := serving(t, logConn(t, server), source, Limits{Window: minWindow})
	nc, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if came, _, err := pullAll(t.Context(), asker(nc, source), wants); err != nil || len(came) != len(wants) {
		t.Errorf("%d came: %v", len(came), err)
	}
	idle(t, s)
}

// TestAnAnswerGoesToNoAPI: whoever asks names where the answer goes.
func TestAnAnswerGoesToNoAPI(t *testing.T) {
	server := aServer(t)
	source, wants := filled(t, 10)
	serving(t, logConn(t, server), source, Limits{})
	spying := logConn(t, server)
	spy, err := spying.SubscribeSync("$JS.>")
	if err != nil {
		t.Fatal(err)
	}
	nc := logConn(t, server)
	for endpoint, ask := range map[string]any{EndpointRoots: rootsAsk{}, EndpointDocuments: documentsAsk{Documents: keysOf(wants)}, EndpointIndex: "garbage"} {
		if err := nc.PublishRequest(Subject("h1", endpoint), "$JS.ACK.trireme-s1.x.1.1.1.1.1", marshal(t, ask)); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Request(Subject("h1", endpoint), marshal(t, ask), wirePatience); err != nil { // the one before is done
			t.Fatal(err)
		}
	}
	if err := spying.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := spy.Pending(); err != nil || n > 0 {
		t.Errorf("%d answers went there, %v", n, err)
	}
	if err := spy.Unsubscribe(); err != nil {
		t.Error(err)
	}
}
