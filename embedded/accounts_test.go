package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Everybody who can come from outside.
var outsiders = []struct {
	name     string
	server   func() *Server
	login    nats.Option
	operator bool
}{
	{"loopback", func() *Server { return &Server{} }, nats.Name("no credentials"), true},
	{"client", withUsers, nats.UserInfo("adama", "p1"), false},
	{"operator", withUsers, nats.UserInfo("ops", "p2"), true},
}

func withUsers() *Server {
	return &Server{Clients: []User{{"adama", "p1", RoleClient}, {"ops", "p2", RoleOperator}}}
}

// attempts are all the ways that we know to put a byte into a log, or to change it.
func attempts() []*nats.Msg {
	var list []*nats.Msg
	add := func(subject, reply, body string, header nats.Header) {
		list = append(list, &nats.Msg{Subject: subject, Reply: reply, Data: []byte(body), Header: header})
	}
	const log = "trireme.log.s1"
	add(log, "", "forged", nil)
	add("trireme.tail.s1", "", "forged", nil)
	add("trireme.host.h1", "", "forged", nil)
	add(log, log, "forged", nats.Header{nats.ExpectedLastMsgIdHdr: {"x"}})
	// A reply subject in the log, on everything that somebody answers.
	trace := nats.Header{"Nats-Trace-Dest": {log}}
	origin := nats.Header{"Nats-Request-Info": {`{"acc":"TRIREME","svc":"TRIREME"}`}}
	for subject, body := range map[string]string{
		"$JS.API.INFO": "", "$JS.API.STREAM.NAMES": "", "$JS.API.STREAM.LIST": "", "$JS.API.STREAM.INFO.trireme-s1": "",
		"$JS.API.STREAM.MSG.GET.trireme-s1": `{"seq":1}`, "$JS.API.DIRECT.GET.trireme-s1": `{"seq":1}`,
		"$JS.API.DIRECT.GET.trireme-s1.trireme.log.s1": "", "$JS.API.CONSUMER.NAMES.trireme-s1": "",
		"$JS.API.CONSUMER.LIST.trireme-s1": "", "$JS.API.CONSUMER.INFO.trireme-s1.reader": "",
		"$JS.API.CONSUMER.MSG.NEXT.trireme-s1.reader":    `{"batch":5,"no_wait":true}`,
		"$JS.API.CONSUMER.CREATE.trireme-s1.reader":      view("reader", ""),
		"$JS.API.CONSUMER.DELETE.trireme-s1.nobody":      "",
		"$JS.ACK.trireme-s1.reader.1.1.1.1.1":            "+NXT",
		"$JS.ACK._.hash.trireme-s1.reader.1.1.1.1.1.a.b": "+NXT",
		"$SRV.PING": "", "$SRV.INFO.adama": "", "adama.v1.p.00.echo": "forged", "adama.v1.nobody": "forged",
		"$SRV.STATS.trireme-repair": "", "$SRV.INFO.trireme-repair.x": "", "trireme.repair.h1.roots": "forged", "trireme.repair.h1.documents": "forged",
	} {
		add(subject, log, body, nil)
		add(subject, log, body, trace)
		add(subject, "$JS.API.STREAM.PURGE.trireme-s1", body, origin)
		add(subject, "$JS.API.STREAM.DELETE.trireme-s1", body, nil)
		add(subject, "$JS.API.CONSUMER.CREATE.trireme-s1.by-reply", body, nil)
	}
	// Who answers for repair as a messenger: it has every right among the logs.
	for _, reply := range []string{"$JS.ACK.trireme-s1.reader.1.1.1.1.1", "$JS.API.STREAM.PURGE.trireme-s1", "_LOG.x", "_R_.x", "trireme.tail.s1"} {
		add("trireme.repair.h1.roots", reply, "", nil)
		add("trireme.repair.h1.documents", reply, "", trace)
	}
	add("trireme.repair.h1.unknown", "_INBOX.attempt", "", nil)
	// The service as a messenger to the gate.
	add("adama.v1.p.00.echo", gateSubjectOf("trireme-s1")+".by-reply", view("by-reply", ""), nil)
	// Calls that change streams.
	for subject, body := range map[string]string{
		"$JS.API.STREAM.CREATE.thief":                     `{"name":"thief","subjects":["trireme.log.s3"]}`,
		"$JS.API.STREAM.UPDATE.trireme-s1":                `{"name":"trireme-s1","subjects":["trireme.log.s1","adama.>"],"allow_direct":true,"discard":"new","max_bytes":1048576}`,
		"$JS.API.STREAM.PURGE.trireme-s1":                 "",
		"$JS.API.STREAM.DELETE.trireme-s1":                "",
		"$JS.API.STREAM.MSG.DELETE.trireme-s1":            `{"seq":1}`,
		"$JS.API.STREAM.SNAPSHOT.trireme-s1":              `{"deliver_subject":"trireme.log.s1"}`,
		"$JS.API.STREAM.RESTORE.trireme-s1":               `{}`,
		"$JS.API.STREAM.PEER.REMOVE.trireme-s1":           `{"peer":"h1"}`,
		"$JS.API.STREAM.LEADER.STEPDOWN.trireme-s1":       "",
		"$JS.API.STREAM.TEMPLATE.CREATE.x":                "{}",
		"$JS.API.META.LEADER.STEPDOWN":                    "",
		"$JS.API.SERVER.REMOVE":                           `{"peer":"h1"}`,
		"$JS.API.ACCOUNT.PURGE.TRIREME":                   "",
		"$JS.API.CONSUMER.DURABLE.CREATE.trireme-s2.push": push("push", "trireme.log.s1", ""),
		"$JS.API.CONSUMER.CREATE.trireme-s2":              push("", "trireme.log.s1", ""),
		"$JS.API.CONSUMER.CREATE.trireme-s2.push":         push("push", "trireme.log.s1", ""),
		"$JS.API.CONSUMER.CREATE.trireme-s2.push.>":       push("push", "trireme.log.s1", `"filter_subject":">",`),
		"$JS.API.CONSUMER.CREATE.trireme-s2.purge":        push("purge", "$JS.API.STREAM.PURGE.trireme-s1", `"headers_only":true,`),
		"_R_.guess": "forged", "$SYS.REQ.SERVER.PING.PROFILEZ": "", "$SYS.REQ.ACCOUNT.TRIREME.JSZ": "",
		"_GATE.x": "forged", "_LOG.x": "forged", "_SERVICE.x": "forged",
	} {
		add(subject, "_INBOX.attempt", body, nil)
	}
	return list
}

// view is the request that `nats stream view` makes.
func view(name, more string) string {
	return fmt.Sprintf(`{"stream_name":"trireme-s1","config":{%s"description":"JSM Stream Pager","ack_policy":"explicit","ack_wait":30000000000,`+
		`"deliver_policy":"all","durable_name":%q,"name":%q,"filter_subject":">","replay_policy":"instant","inactive_threshold":3600000000000,`+
		`"num_replicas":1,"mem_storage":true,"pause_until":"0001-01-01T00:00:00Z"},"action":""}`, more, name, name)
}

func push(name, deliver, more string) string {
	return fmt.Sprintf(`{"stream_name":"trireme-s2","config":{%s"name":%q,"deliver_subject":%q,"deliver_policy":"all","ack_policy":"none",`+
		`"mem_storage":true,"inactive_threshold":60000000000}}`, more, name, deliver)
}

func TestNobodyOutsideChangesALog(t *testing.T) {
	for _, who := range outsiders {
		t.Run(who.name, func(t *testing.T) {
			s := started(t, who.server())
			_, js := withLog(t, s)
			echo(t, s)
			// Whatever reaches the streams' account from outside would show here.
			inside, err := s.Log()
			if err != nil {
				t.Fatal(err)
			}
			spy, err := inside.SubscribeSync("trireme.>")
			if err == nil {
				err = inside.Flush()
			}
			if err != nil {
				t.Fatal(err)
			}
			before := streams(t, js)
			outside, _ := dial(t, s, who.login)
			for _, m := range attempts() {
				if err := outside.PublishMsg(m); err != nil {
					t.Fatal(err)
				}
				if err := outside.Flush(); err != nil { // the server has processed it
					t.Fatal(err)
				}
			}
			settle(t, outside, js)
			if st, err := js.Stream(t.Context(), "trireme-s1"); err != nil {
				t.Error(err)
			} else if n := st.CachedInfo().State.Consumers; !who.operator && n != 0 {
				t.Errorf("a client made %d consumers", n)
			}
			if after := streams(t, js); after != before {
				t.Errorf("the streams were\n%s\nand are\n%s", before, after)
			}
			onlyOurs(t, spy, who.operator)
		})
	}
}

// onlyOurs wants that the spy saw nothing from outside before our own message, but
// what operators may ask for.
func onlyOurs(t *testing.T, spy *nats.Subscription, operator bool) {
	t.Helper()
	for {
		m, err := spy.NextMsg(patience)
		switch {
		case err == nil && operator && (m.Subject == "trireme.repair.h1.roots" || m.Subject == "trireme.repair.h1.documents"):
			continue
		case err != nil || m.Subject != "trireme.log.s2" || string(m.Data) != "last":
			t.Errorf("before our own message the account saw %v, %v", m, err)
		}
		return
	}
}

// echo answers adama.v1.p.00.echo as a service would, and trireme.repair.h1 as a host.
func echo(t *testing.T, s *Server) {
	t.Helper()
	service, err := s.Service()
	if err != nil {
		t.Fatal(err)
	}
	answer := func(m *nats.Msg) { _ = m.Respond(m.Data) } // refused replies are the point of the test
	for _, subject := range []string{"adama.v1.p.00.echo", "$SRV.>"} {
		if _, err := service.QueueSubscribe(subject, "q", answer); err != nil {
			t.Fatal(err)
		}
	}
	inside, err := s.Log()
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"trireme.repair.h1.*", "$SRV.>"} {
		if _, err := inside.Subscribe(subject, answer); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(service.Flush(), inside.Flush()); err != nil {
		t.Fatal(err)
	}
}

// settle waits until what the attempts set going has ended: each party that answers
// has answered something that came later.
func settle(t *testing.T, outside *nats.Conn, js jetstream.JetStream) {
	t.Helper()
	if _, err := outside.Request("adama.v1.p.00.echo", []byte("x"), patience); err != nil {
		t.Fatal(err)
	}
	if _, err := outside.Request("$JS.API.STREAM.INFO.trireme-s1", nil, patience); err != nil {
		t.Fatal(err)
	}
	// The gate takes requests in order. A client may not ask it; then nothing reached it.
	gated, err := outside.Request(gateSubjectOf("trireme-s1"), []byte("{"), time.Second)
	if err == nil && !strings.Contains(string(gated.Data), "only consumers for reading") {
		t.Fatalf("the gate says %s", gated.Data)
	}
	if _, err := js.Publish(t.Context(), "trireme.log.s2", []byte("last")); err != nil {
		t.Fatal(err)
	}
}

func gateSubjectOf(stream string) string { return strings.TrimSuffix(gateSubject, ">") + stream }

// streams prints all that a client must not change. Stream s2 is the one that settle appends to.
func streams(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	var b strings.Builder
	for info := range js.ListStreams(t.Context()).Info() {
		if info.Config.Name == "trireme-s2" {
			info.State.Msgs, info.State.LastSeq, info.State.Bytes, info.State.LastTime = 0, 0, 0, time.Time{}
		}
		info.State.Consumers, info.TimeStamp, info.Cluster = 0, time.Time{}, nil
		text, err := json.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	return b.String()
}

func TestOutsidersReadStreams(t *testing.T) {
	for _, who := range outsiders {
		t.Run(who.name, func(t *testing.T) {
			s := started(t, who.server())
			inside, _ := withLog(t, s)
			if err := inside.Publish("trireme.log.s1", []byte("second record of s1")); err != nil {
				t.Fatal(err)
			}
			outside, _ := dial(t, s, who.login)
			js, err := jetstream.New(outside)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.AccountInfo(t.Context()); err != nil {
				t.Error(err)
			}
			readStream(t, outside, js)
		})
	}
}

// readStream reads both records of s1 by every call that is for reading.
func readStream(t *testing.T, outside *nats.Conn, js jetstream.JetStream) {
	t.Helper()
	var names []string
	for name := range js.StreamNames(t.Context()).Name() {
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "trireme-s1 trireme-s2" && got != "trireme-s2 trireme-s1" {
		t.Errorf("streams %q", got)
	}
	if got := record(t, outside, "trireme-s1", 2); got != "second record of s1" {
		t.Errorf("record 2 is %q", got)
	}
	raw, err := outside.Request("$JS.API.STREAM.MSG.GET.trireme-s1", []byte(`{"seq":1}`), patience)
	if err != nil || !strings.Contains(string(raw.Data), `"seq":1`) {
		t.Errorf("message get: %v, %v", raw, err)
	}
	if got := directBatch(t, outside); strings.Join(got, ",") != "first record of s1,second record of s1," {
		t.Errorf("direct get batch: %q", got)
	}
}

// directBatch asks for several records in one request, which has several answers.
func directBatch(t *testing.T, nc *nats.Conn) []string {
	t.Helper()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("$JS.API.DIRECT.GET.trireme-s1", inbox, []byte(`{"seq":1,"batch":10}`)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		m, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(m.Data))
		if m.Header.Get("Status") != "" {
			return got
		}
	}
}

func TestOnlyOperatorsViewStreams(t *testing.T) {
	for _, who := range outsiders {
		t.Run(who.name, func(t *testing.T) {
			s := started(t, who.server())
			withLog(t, s)
			outside, errs := dial(t, s, who.login)
			if !who.operator {
				if err := outside.Publish("$JS.API.CONSUMER.CREATE.trireme-s1.pager.>", []byte(view("pager", ""))); err != nil {
					t.Fatal(err)
				}
				refused(t, errs)
				return
			}
			viewStream(t, outside)
			if len(errs) != 0 {
				t.Errorf("the connection reports %v", <-errs)
			}
		})
	}
}

// viewStream reads the first record as `nats stream view` does.
func viewStream(t *testing.T, outside *nats.Conn) {
	t.Helper()
	made, err := outside.Request("$JS.API.CONSUMER.CREATE.trireme-s1.pager.>", []byte(view("pager", "")), patience)
	if err != nil || strings.Contains(string(made.Data), `"error"`) {
		t.Fatalf("make consumer: %v, %v", made, err)
	}
	var next *nats.Msg
	eventually(t, "heard of at this server", func() error { // who leads the stream may be at another
		page, err := outside.SubscribeSync(outside.NewInbox())
		if err != nil {
			return err
		}
		if err := outside.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.trireme-s1.pager", page.Subject, []byte(`{"batch":25,"no_wait":true}`)); err != nil {
			return err
		}
		next, err = page.NextMsg(patience)
		return errors.Join(err, page.Unsubscribe())
	})
	if string(next.Data) != "first record of s1" {
		t.Fatalf("next record: %v", next)
	}
	if err := next.Ack(); err != nil {
		t.Error(err)
	}
	info, err := outside.Request("$JS.API.CONSUMER.INFO.trireme-s1.pager", nil, patience)
	if err != nil || !strings.Contains(string(info.Data), `"ack_policy":"none"`) {
		t.Errorf("consumer info: %v, %v", info, err)
	}
	gone, err := outside.Request("$JS.API.CONSUMER.DELETE.trireme-s1.pager", nil, patience)
	if err != nil || !strings.Contains(string(gone.Data), `"success":true`) {
		t.Errorf("delete consumer: %v, %v", gone, err)
	}
}

func TestSubscriptionsFromOutside(t *testing.T) {
	tests := []struct {
		subject string
		allowed bool
	}{
		{"_INBOX.mine.>", true},
		{"adama.event.>", true},
		{"adama.v1.>", false},
		{"adama.v1.patch", false},
		{"adama.>", false},
		{">", false},
		{"*.>", false},
		{"trireme.log.s1", false},
		{"trireme.v1.>", false},
		{"trireme.tail.>", false},
		{"trireme.tail.s1", false},
		{"trireme.host.>", false},
		{"trireme.host.h1", false},
		{"trireme.repair.>", false},
		{"trireme.repair.h1.roots", false},
		{"$SRV.>", false},
		{"$JS.>", false},
		{"$JS.API.CONSUMER.CREATE.>", false},
		{"$SYS.>", false},
		{"$SYS.REQ.>", false},
		{"$JS.EVENT.>", false},
		{"_SERVICE.>", false},
		{"_GATE.>", false},
		{"_LOG.>", false},
		{"_R_.>", false},
	}
	for _, who := range outsiders {
		t.Run(who.name, func(t *testing.T) {
			s := started(t, who.server())
			for _, queue := range []string{"", "q", "gate"} {
				outside, errs := dial(t, s, who.login)
				for _, tt := range tests {
					if _, err := outside.QueueSubscribeSync(tt.subject, queue); err != nil {
						t.Fatal(err)
					}
					if err := outside.Flush(); err != nil {
						t.Fatal(err)
					}
					if tt.allowed && len(errs) != 0 {
						t.Errorf("%s (queue %q): %v", tt.subject, queue, <-errs)
					} else if !tt.allowed {
						refused(t, errs)
					}
				}
			}
		})
	}
}

func refused(t *testing.T, errs <-chan error) {
	t.Helper()
	select {
	case err := <-errs:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("the connection reports %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it was not refused")
	}
}

func TestServiceAndClientsMeet(t *testing.T) {
	for _, who := range outsiders {
		t.Run(who.name, func(t *testing.T) {
			s := started(t, who.server())
			echo(t, s)
			outside, errs := dial(t, s, who.login)
			got, err := outside.Request("adama.v1.p.00.echo", []byte("hello"), patience)
			if err != nil || string(got.Data) != "hello" {
				t.Errorf("%v, %v", got, err)
			}
			events, err := outside.SubscribeSync("adama.event.>")
			if err != nil {
				t.Fatal(err)
			}
			if err := outside.Flush(); err != nil {
				t.Fatal(err)
			}
			service, err := s.Service()
			if err != nil {
				t.Fatal(err)
			}
			if err := service.Publish("adama.event.owner", []byte("h1")); err != nil {
				t.Fatal(err)
			}
			if m, err := events.NextMsg(patience); err != nil || string(m.Data) != "h1" {
				t.Errorf("event %v, %v", m, err)
			}
			// The service asks another host, by an inbox that no client can listen to.
			if m, err := service.Request("adama.v1.p.00.echo", []byte("hi"), patience); err != nil || string(m.Data) != "hi" {
				t.Errorf("the service's own request: %v, %v", m, err)
			}
			if err := outside.Publish("adama.event.owner", []byte("forged")); err != nil {
				t.Fatal(err)
			}
			refused(t, errs)
		})
	}
}

func TestLargestMessage(t *testing.T) {
	s := started(t, &Server{})
	echo(t, s)
	outside, _ := dial(t, s)
	large := make([]byte, 60<<20) // a reply of the largest size
	got, err := outside.Request("adama.v1.p.00.echo", large, patience)
	if err != nil || len(got.Data) != len(large) {
		t.Fatalf("echo of %d bytes: %v", len(large), err)
	}
}

func TestWhoMayConnect(t *testing.T) {
	open, named := started(t, &Server{}), started(t, withUsers())
	k, err := named.current()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := newKeys()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		server  *Server
		login   nats.Option
		allowed bool
	}{
		{"open, no credentials", open, nats.Name("x"), true},
		{"open, unknown name", open, nats.UserInfo("adama", "p1"), false},
		{"named, no credentials", named, nats.Name("x"), false},
		{"named, client", named, nats.UserInfo("adama", "p1"), true},
		{"named, wrong password", named, nats.UserInfo("adama", "p2"), false},
		{"named, empty password", named, nats.UserInfo("adama", ""), false},
		{"named, nobody", named, nats.UserInfo("", ""), false},
		{"unknown key", named, nats.Nkey(stranger.log.public, stranger.log.pair.Sign), false},
		{"the key of the log, over the network", named, nats.Nkey(k.keys.log.public, k.keys.log.pair.Sign), false},
		{"the key of the service, over the network", named, nats.Nkey(k.keys.service.public, k.keys.service.pair.Sign), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nc, err := nats.Connect(tt.server.URL(), tt.login)
			if err == nil {
				nc.Close()
			}
			if (err == nil) != tt.allowed || err != nil && !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("connect: %v", err)
			}
		})
	}
}
