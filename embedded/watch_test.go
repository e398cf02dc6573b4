package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Everybody who can come from outside, and whether they may look at servers.
var lookers = []struct {
	name   string
	server func() *Server
	login  nats.Option
	may    bool
}{
	{"loopback", func() *Server { return &Server{} }, nats.Name("no credentials"), true},
	{"client", withWatcher, nats.UserInfo("adama", "p1"), false},
	{"operator", withWatcher, nats.UserInfo("ops", "p2"), true},
	{"system", withWatcher, nats.UserInfo("monitor", "p3"), true},
}

func withWatcher() *Server {
	s := withUsers()
	s.Clients = append(s.Clients, User{"monitor", "p3", RoleSystem})
	return s
}

func TestWhoLooksAtServers(t *testing.T) {
	for _, who := range lookers {
		t.Run(who.name, func(t *testing.T) {
			s := started(t, who.server())
			withLog(t, s)
			nc, errs := dial(t, s, who.login)
			for subject, word := range map[string]string{
				"$SYS.REQ.SERVER.PING":                          `"statsz"`,
				"$SYS.REQ.SERVER.PING.VARZ":                     `"server_name":"h1"`,
				"$SYS.REQ.SERVER.PING.CONNZ":                    `"num_connections"`,
				"$SYS.REQ.SERVER.PING.JSZ":                      `"streams":2`,
				"$SYS.REQ.SERVER.PING.HEALTHZ":                  `"status":"ok"`,
				"$SYS.REQ.SERVER." + s.NATS().ID() + ".VARZ":    `"server_name":"h1"`,
				"$SYS.REQ.SERVER." + s.NATS().ID() + ".HEALTHZ": `"status":"ok"`,
			} {
				if !who.may {
					if err := nc.Publish(subject, nil); err != nil {
						t.Fatal(err)
					}
					refused(t, errs)
					continue
				}
				onlyAnswer(t, nc, subject, word)
			}
			if len(errs) > 0 {
				t.Errorf("the connection reports %v", <-errs)
			}
		})
	}
}

// onlyAnswer wants one answer with the word: a second one would be that of another import.
func onlyAnswer(t *testing.T, nc *nats.Conn, subject, word string) {
	t.Helper()
	inbox, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest(subject, inbox.Subject, nil); err != nil {
		t.Fatal(err)
	}
	m, err := inbox.NextMsg(patience)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	if !strings.Contains(strings.ReplaceAll(string(m.Data), ": ", ":"), word) {
		t.Errorf("%s answers %s without %s", subject, m.Data, word)
	}
	// The server answers in order: what this request had to bring has come by then.
	if _, err := nc.Request("$SYS.REQ.SERVER.PING.IDZ", nil, patience); err != nil {
		t.Fatal(err)
	}
	if more, err := inbox.NextMsg(time.Millisecond); err == nil {
		t.Errorf("%s answers twice: %s", subject, more.Data)
	}
}

// TestServerEvents hears what `nats events --all` would show.
func TestServerEvents(t *testing.T) {
	for _, who := range lookers {
		t.Run(who.name, func(t *testing.T) {
			s := started(t, who.server())
			nc, errs := dial(t, s, who.login)
			events := make(chan *nats.Msg, 1000)
			for _, subject := range []string{"$JS.EVENT.ADVISORY.>", "$JS.EVENT.METRIC.>", "$SYS.ACCOUNT.*.CONNECT", "$SYS.ACCOUNT.*.DISCONNECT", "$SYS.SERVER.*.CLIENT.AUTH.ERR"} {
				if _, err := nc.ChanSubscribe(subject, events); err != nil {
					t.Fatal(err)
				}
				if err := nc.Flush(); err != nil {
					t.Fatal(err)
				}
				if !who.may {
					refused(t, errs)
				}
			}
			if !who.may {
				return
			}
			withLog(t, s) // makes streams
			stranger, err := nats.Connect(s.URL(), nats.UserInfo("stranger", "x"))
			if err == nil {
				stranger.Close()
				t.Fatal("a stranger was let in")
			}
			heard := map[string]bool{}
			limit := time.After(patience)
			for !heard["$JS.EVENT.ADVISORY.STREAM.CREATED.trireme-s1"] || !heard["$SYS.SERVER."+s.NATS().ID()+".CLIENT.AUTH.ERR"] || !heard["$SYS.ACCOUNT.TRIREME.CONNECT"] {
				select {
				case m := <-events:
					if heard[m.Subject] && strings.Contains(m.Subject, "CREATED.trireme-s1") {
						t.Errorf("%s came twice", m.Subject)
					}
					heard[m.Subject] = true
				case <-limit:
					t.Fatalf("heard only %v", heard)
				}
			}
			if len(errs) > 0 {
				t.Errorf("the connection reports %v", <-errs)
			}
		})
	}
}

// commands are subjects of the system account that do something to a server, a cluster
// or a Raft log. (A server reads $NRG.P.<group> as an entry to propose.)
func commands(s *Server) []string {
	id := s.NATS().ID()
	return []string{
		"$SYS.REQ.SERVER." + id + ".RELOAD", "$SYS.REQ.SERVER." + id + ".KICK", "$SYS.REQ.SERVER." + id + ".LDM",
		"$SYS.REQ.SERVER." + id + ".PROFILEZ", "$SYS.REQ.SERVER.PING.PROFILEZ",
		"$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.CLAIMS.DELETE", "$SYS.REQ.ACCOUNT.ADAMA.CLAIMS.UPDATE", "$SYS.ACCOUNT.ADAMA.CLAIMS.UPDATE",
		"$SYS.SERVER." + id + ".SHUTDOWN", "$SYS.SERVER." + id + ".LAMEDUCK", "$SYS.SERVER.other.STATSZ", "$SYS.ACCOUNT.other.SERVER.CONNS",
		"$JS.API.META.LEADER.STEPDOWN", "$JS.API.META.RESCUE", "$JS.API.SERVER.REMOVE", "$JS.API.SERVER.EVACUATE",
		"$JS.API.ACCOUNT.PURGE.TRIREME", "$JS.API.ACCOUNT.STREAM.MOVE.TRIREME.trireme-s1",
		"$NRG.P._meta_", "$NRG.AE._meta_", "$NRG.V._meta_", "_R_.guess", "$SYS._INBOX.guess.x",
	}
}

// TestNobodyOutsideCommandsServers tries every command as a subject, and as the reply
// of what may be asked.
func TestNobodyOutsideCommandsServers(t *testing.T) {
	for _, who := range lookers {
		t.Run(who.name, func(t *testing.T) {
			s := started(t, who.server())
			_, js := withLog(t, s)
			spy := spyOnServers(t, s)
			before := streams(t, js)
			nc, errs := dial(t, s, who.login)
			for _, command := range commands(s) {
				if err := nc.PublishRequest(command, "_INBOX.attempt", []byte("{}")); err != nil {
					t.Fatal(err)
				}
				refused(t, errs)
			}
			for _, command := range commands(s) {
				for _, asks := range []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.SERVER.PING.IDZ", "$SYS.REQ.SERVER." + s.NATS().ID() + ".VARZ"} {
					if err := nc.PublishRequest(asks, command, nil); err != nil {
						t.Fatal(err)
					}
					if !who.may {
						refused(t, errs)
					}
				}
			}
			if who.may {
				if _, err := nc.Request("$SYS.REQ.SERVER.PING.IDZ", nil, patience); err != nil { // answered in order
					t.Fatal(err)
				}
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := commanded(t, s, spy); len(got) != 0 {
				t.Errorf("the system account saw %q", got)
			}
			if after := streams(t, js); after != before {
				t.Errorf("the streams were\n%s\nand are\n%s", before, after)
			}
		})
	}
}

// TestWhyNobodyIsInTheSystemAccount shows what a client there could do that may only
// ask: its server reloads. It is why the account has no users.
func TestWhyNobodyIsInTheSystemAccount(t *testing.T) {
	s := started(t, &Server{Clients: []User{{"ops", "p2", RoleOperator}}})
	spy := spyOnServers(t, s)
	command := commands(s)[0]
	if err := spy.asker.PublishRequest("$SYS.REQ.SERVER.PING.IDZ", command, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := spy.asker.Request("$SYS.REQ.SERVER.PING.IDZ", nil, patience); err != nil {
		t.Fatal(err)
	}
	if got := commanded(t, s, spy); !slices.Equal(got, []string{command}) {
		t.Errorf("the system account saw %q", got)
	}
}

// A serverSpy is in the system account: with all rights there, and as one who may only ask.
type serverSpy struct {
	*nats.Subscription
	own, asker *nats.Conn
}

// spyOnServers lets two users into the system account, which nobody can configure.
func spyOnServers(t *testing.T, s *Server) serverSpy {
	t.Helper()
	run, err := s.current()
	if err != nil {
		t.Fatal(err)
	}
	o, err := run.cfg.options(run.keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range o.Accounts {
		if a.Name == systemAccount {
			may := &server.Permissions{
				Publish:   &server.SubjectPermission{Allow: subjects(serverCalls)},
				Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
			}
			o.Users = append(o.Users, &server.User{Username: "spy", Password: "spy", Account: a},
				&server.User{Username: "asker", Password: "asker", Account: a, Permissions: may})
		}
	}
	if err := run.nats.ReloadOptions(o); err != nil {
		t.Fatal(err)
	}
	spy := serverSpy{}
	spy.own, _ = dial(t, s, nats.UserInfo("spy", "spy"))
	spy.asker, _ = dial(t, s, nats.UserInfo("asker", "asker"))
	spy.Subscription, err = spy.own.SubscribeSync(">")
	if err := errors.Join(err, spy.SetPendingLimits(-1, -1), spy.own.Flush()); err != nil {
		t.Fatal(err)
	}
	return spy
}

// commanded are the commands that the spy has seen until now.
func commanded(t *testing.T, s *Server, spy serverSpy) []string {
	t.Helper()
	if err := spy.own.Publish("test.last", nil); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for {
		m, err := spy.NextMsg(patience)
		switch {
		case err != nil:
			t.Fatal(err)
		case m.Subject == "test.last":
			return seen
		case slices.Contains(commands(s), m.Subject):
			seen = append(seen, m.Subject)
		}
	}
}

// TestSystemSeesNoDocuments: neither by asking nor by listening, nor in answers to others.
func TestSystemSeesNoDocuments(t *testing.T) {
	s := started(t, withWatcher())
	_, js := withLog(t, s)
	echo(t, s)
	monitor, errs := dial(t, s, nats.UserInfo("monitor", "p3"))
	answers, err := monitor.SubscribeSync("_INBOX.>")
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"adama.event.>", "adama.v1.>", "trireme.>", "$SRV.>", "$JS.API.>", "$SYS.REQ.>", ">", "_LOG.>", "_R_.>"} {
		if _, err := monitor.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		if err := monitor.Flush(); err != nil {
			t.Fatal(err)
		}
		refused(t, errs)
	}
	for _, subject := range []string{
		"adama.v1.p.00.echo", "adama.v1.get", "trireme.v1.status", "trireme.repair.h1.document", "trireme.log.s1", "$SRV.PING",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.MSG.GET.trireme-s1", "$JS.API.DIRECT.GET.trireme-s1", gateSubjectOf("trireme-s1"),
	} {
		if err := monitor.PublishRequest(subject, "_INBOX.mine", []byte(`{"seq":1}`)); err != nil {
			t.Fatal(err)
		}
		refused(t, errs)
	}
	before := streams(t, js)
	for _, m := range attempts() {
		if err := monitor.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		refused(t, errs)
	}
	// What others are told passes by it.
	ops, _ := dial(t, s, nats.UserInfo("ops", "p2"))
	if _, err := ops.Request("adama.v1.p.00.echo", []byte("secret"), patience); err != nil {
		t.Fatal(err)
	}
	if got := record(t, ops, "trireme-s2", 1); got != "first record of s2" {
		t.Errorf("record 1 is %q", got)
	}
	if err := monitor.PublishRequest("$SYS.REQ.SERVER.PING.IDZ", "_INBOX.last", nil); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := answers.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject == "_INBOX.last" {
			break
		}
		t.Errorf("it hears %s: %s", m.Subject, m.Data)
	}
	if after := streams(t, js); after != before {
		t.Errorf("the streams were\n%s\nand are\n%s", before, after)
	}
}

// TestServersOfAClusterAreLookedAt asks one server about all, and hears of a stream that
// another one leads.
func TestServersOfAClusterAreLookedAt(t *testing.T) {
	t.Parallel() // it waits for elections
	servers := together(t, hosts(t, 3, withWatcher))
	for _, login := range []nats.Option{nats.UserInfo("ops", "p2"), nats.UserInfo("monitor", "p3")} {
		nc, errs := dial(t, servers[0], login)
		for _, subject := range []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.JSZ", "$SYS.REQ.SERVER.PING.CONNZ"} {
			inbox, err := nc.SubscribeSync(nc.NewInbox())
			if err != nil {
				t.Fatal(err)
			}
			if err := nc.PublishRequest(subject, inbox.Subject, nil); err != nil {
				t.Fatal(err)
			}
			var from []string
			for range servers {
				m, err := inbox.NextMsg(patience)
				if err != nil {
					t.Fatalf("%s: after %q: %v", subject, from, err)
				}
				var answer struct{ Server struct{ Name string } }
				if err := json.Unmarshal(m.Data, &answer); err != nil {
					t.Fatal(err)
				}
				from = append(from, answer.Server.Name)
			}
			slices.Sort(from)
			if fmt.Sprint(from) != "[h1 h2 h3]" {
				t.Errorf("%s is answered by %q", subject, from)
			}
		}
		events, err := nc.SubscribeSync("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.>")
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, other := range servers[1:] {
			eventually(t, "listened to", func() error { return interested(other, logAccount, "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.x") })
		}
		_, js := logOf(t, servers[1])
		stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "events", Subjects: []string{"events"}, Replicas: 3})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := events.NextMsg(patience); err != nil || m.Subject != "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.events" {
			t.Errorf("event %v, %v of %v", m, err, stream.CachedInfo().Config.Name)
		}
		if err := js.DeleteStream(t.Context(), "events"); err != nil {
			t.Fatal(err)
		}
		if len(errs) > 0 {
			t.Errorf("the connection reports %v", <-errs)
		}
	}
}
