package embedded

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// clusterWithLog is a cluster of three with the streams of two stripes, two records in
// the first and one in the other, the server that leads the first stream, and one that does not.
func clusterWithLog(t *testing.T, host func() *Server) (leads, other *Server, js jetstream.JetStream) {
	t.Helper()
	servers := together(t, hosts(t, 3, host))
	_, js = logOf(t, servers[0])
	for _, stripe := range []string{"s1", "s2"} {
		replicated(t, js, stripe, "all")
		publish(t, js, stripe, "first record of "+stripe)
	}
	publish(t, js, "s1", "second record of s1")
	stored(t, servers, "trireme-s1", 2)
	stored(t, servers, "trireme-s2", 1)
	leads = leader(t, servers, "trireme-s1")
	other = servers[0]
	if other == leads {
		other = servers[1]
	}
	_, js = logOf(t, leads)
	return leads, other, js
}

// stored waits until each server keeps the stream's record.
func stored(t *testing.T, servers []*Server, stream string, seq uint64) {
	t.Helper()
	for _, s := range servers {
		eventually(t, "stored", func() error {
			info, err := s.NATS().Jsz(&server.JSzOptions{Account: logAccount, Streams: true})
			if err != nil {
				return err
			}
			for _, account := range info.AccountDetails {
				for _, st := range account.Streams {
					if st.Name == stream && st.State.LastSeq >= seq {
						return nil
					}
				}
			}
			return fmt.Errorf("%s has no record %d of %s", s.Name, seq, stream)
		})
	}
}

// TestOutsidersAtAnotherServer has them do all that they can try, and all that they may
// do, at a server that does not lead the stream.
func TestOutsidersAtAnotherServer(t *testing.T) {
	t.Parallel() // it waits for elections
	// Those without credentials need a cluster of their own.
	for from, to := 0, 1; from < len(outsiders); from, to = to, len(outsiders) {
		leads, other, js := clusterWithLog(t, outsiders[from].server)
		echo(t, leads)
		eventually(t, "answered", func() error { return interested(other, clientAccount, "adama.v1.p.00.echo") })
		for _, who := range outsiders[from:to] {
			outside, errs := dial(t, other, who.login)
			t.Run(who.name+" reads", func(t *testing.T) {
				readAll(t, other, outside, who.operator)
				if len(errs) != 0 {
					t.Errorf("the connection reports %v", <-errs)
				}
			})
			t.Run(who.name+" changes nothing", func(t *testing.T) {
				attack(t, leads, other, js, outside, who.operator)
				if st, err := js.Stream(t.Context(), "trireme-s1"); err != nil {
					t.Error(err)
				} else if n := st.CachedInfo().State.Consumers; !who.operator && n != 0 {
					t.Errorf("a client made %d consumers", n)
				}
			})
		}
	}
}

// attack makes every attempt, and watches the log's account from two servers.
func attack(t *testing.T, leads, other *Server, js jetstream.JetStream, outside *nats.Conn, operator bool) {
	t.Helper()
	spies := []*nats.Subscription{spy(t, leads), spy(t, other)}
	eventually(t, "spied upon", func() error { return interested(other, logAccount, "trireme.log.s1") })
	before := streams(t, js)
	answers, err := outside.SubscribeSync("_INBOX.attempt")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range attempts() {
		if err := outside.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		if err := outside.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, outside, js)
	if after := streams(t, js); after != before {
		t.Errorf("the streams were\n%s\nand are\n%s", before, after)
	}
	for _, spy := range spies {
		onlyOurs(t, spy, operator)
	}
	onlyRefused(t, answers)
}

// spy sees what reaches the streams' account at the server, and everywhere else.
func spy(t *testing.T, s *Server) *nats.Subscription {
	t.Helper()
	nc, _ := logOf(t, s)
	sub, err := nc.SubscribeSync("trireme.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

// onlyRefused looks at what came back from calls that change something: nobody took
// them, or the gate refused.
func onlyRefused(t *testing.T, answers *nats.Subscription) {
	t.Helper()
	for n, _, _ := answers.Pending(); n > 0; n-- {
		m, err := answers.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("Status") != "503" && !strings.Contains(string(m.Data), "only consumers for reading") {
			t.Errorf("somebody answers %q %v", m.Data, m.Header)
		}
	}
}

// interested returns nil once the server knows that another one wants the subject.
func interested(s *Server, account, subject string) error {
	acc, err := s.NATS().LookupAccount(account)
	if err != nil {
		return err
	}
	if acc.SubscriptionInterest(subject) {
		return nil
	}
	return fmt.Errorf("%s knows nobody who wants %s", s.Name, subject)
}

// readAll uses all that is for reading, and the service.
func readAll(t *testing.T, other *Server, outside *nats.Conn, operator bool) {
	t.Helper()
	js, err := jetstream.New(outside)
	if err != nil {
		t.Fatal(err)
	}
	readStream(t, outside, js)
	if operator {
		viewStream(t, outside)
	}
	if m, err := outside.Request("adama.v1.p.00.echo", []byte("hello"), patience); err != nil || string(m.Data) != "hello" {
		t.Errorf("request: %v, %v", m, err)
	}
	service, err := other.Service()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := service.Request("adama.v1.p.00.echo", []byte("hi"), patience); err != nil || string(m.Data) != "hi" {
		t.Errorf("one host asks another: %v, %v", m, err)
	}
}

// TestHostsTalkAmongThemselves is about what clients cannot hear.
func TestHostsTalkAmongThemselves(t *testing.T) {
	servers := together(t, hosts(t, 3, withUsers))
	a, _ := logOf(t, servers[0])
	b, _ := logOf(t, servers[1])
	tail, err := b.SubscribeSync("trireme.tail.s1")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "listened to", func() error { return interested(servers[0], logAccount, "trireme.tail.s1") })
	if err := a.Publish("trireme.tail.s1", []byte("batch")); err != nil {
		t.Fatal(err)
	}
	if m, err := tail.NextMsg(patience); err != nil || string(m.Data) != "batch" {
		t.Errorf("broadcast: %v, %v", m, err)
	}
	for _, login := range []nats.Option{nats.UserInfo("adama", "p1"), nats.UserInfo("ops", "p2")} {
		outside, errs := dial(t, servers[1], login)
		for _, subject := range []string{"trireme.tail.>", "trireme.host.>", "trireme.>"} {
			if _, err := outside.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			refused(t, errs)
		}
	}
}

// TestAnyHostIsTheClientsOwn has clients ask whom they are connected to, and nobody
// else: a queue group would ask any host, also one that does not answer.
func TestAnyHostIsTheClientsOwn(t *testing.T) {
	servers := together(t, hosts(t, 3, withUsers))
	for _, s := range servers {
		service, err := s.Service()
		if err != nil {
			t.Fatal(err)
		}
		for _, subject := range []string{"adama.v1.any." + s.Name + ".get", "trireme.v1.h." + s.Name + ".status"} {
			if _, err := service.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(s.Name)) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := service.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range servers {
		outside, _ := dial(t, s, nats.UserInfo("ops", "p2"))
		for range 20 {
			for _, subject := range []string{"adama.v1.get", "trireme.v1.status"} {
				if m, err := outside.Request(subject, nil, patience); err != nil || string(m.Data) != s.Name {
					t.Fatalf("%s at %s: %v, %v", subject, s.Name, m, err)
				}
			}
		}
	}
}

func TestRoutesNeedCredentials(t *testing.T) {
	servers := together(t, hosts(t, 2, func() *Server { return &Server{} }))
	c := servers[0].Cluster
	tests := []struct {
		name, user, password, answer string
	}{
		{"right", c.User, c.Password, "PONG"},
		{"wrong password", c.User, "x", "-ERR 'Authorization Violation'"},
		{"wrong user", "x", c.Password, "-ERR 'Authorization Violation'"},
		{"none", "", "", "-ERR 'Authorization Violation'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := joinAs(t, c, tt.user, tt.password); got != tt.answer {
				t.Errorf("the server answers %q", got)
			}
		})
	}
	if nc, err := nats.Connect("nats://"+c.Listen, nats.UserInfo(c.User, c.Password)); err == nil {
		nc.Close()
		t.Error("a client came in by the routes")
	}
}

// joinAs speaks the route protocol and returns the server's verdict.
func joinAs(t *testing.T, c *Cluster, user, password string) string {
	t.Helper()
	conn, err := net.Dial("tcp", c.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	hello, err := json.Marshal(map[string]any{"user": user, "pass": password, "name": "stranger", "cluster": c.Name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s\r\nPING\r\n", hello); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(io.LimitReader(conn, 1<<20)); lines.Scan(); {
		if verdict := lines.Text(); verdict == "PONG" || strings.HasPrefix(verdict, "-ERR") {
			return verdict
		}
	}
	return "nothing"
}
