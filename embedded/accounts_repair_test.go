package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// repairing has the server answer for repair among the logs, as a micro service: on
// one endpoint with one message, on the other with three.
func repairing(t *testing.T, s *Server) {
	t.Helper()
	inside, err := s.Log()
	if err != nil {
		t.Fatal(err)
	}
	service, err := micro.AddService(inside, micro.Config{Name: repairService, Version: "1.0.0", Metadata: map[string]string{"host": hostOf(s)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Stop(); err != nil {
			t.Error(err)
		}
	})
	for verb, answers := range map[string][]string{"roots": {hostOf(s)}, "documents": {"1", "2", "3"}} {
		handle := func(r micro.Request) {
			for _, a := range answers {
				if err := r.Respond([]byte(a)); err != nil {
					t.Errorf("answer %s: %v", r.Subject(), err)
				}
			}
		}
		subject := "trireme.repair." + hostOf(s) + "." + verb
		if err := service.AddEndpoint(verb, micro.HandlerFunc(handle), micro.WithEndpointSubject(subject), micro.WithEndpointQueueGroupDisabled()); err != nil {
			t.Fatal(err)
		}
	}
	if err := inside.Flush(); err != nil {
		t.Fatal(err)
	}
}

// answers are what comes on a request until nothing has come for a while; the number
// wanted is waited for.
func answers(t *testing.T, nc *nats.Conn, subject string, want int) []string {
	t.Helper()
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sub.Unsubscribe(); err != nil {
			t.Error(err)
		}
	}()
	if err := nc.PublishRequest(subject, sub.Subject, nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		wait := patience
		if len(got) >= want {
			wait = 100 * time.Millisecond
		}
		m, err := sub.NextMsg(wait)
		if errors.Is(err, nats.ErrTimeout) {
			return got
		} else if err != nil {
			t.Fatalf("%s: %v after %d answers", subject, err, len(got))
		}
		got = append(got, string(m.Data))
	}
}

// TestOperatorsLookAtRepair has them ask every host through every server.
func TestOperatorsLookAtRepair(t *testing.T) {
	alone := started(t, withUsers())
	for name, servers := range map[string][]*Server{"alone": {alone}, "cluster": together(t, hosts(t, 3, withUsers))} {
		t.Run(name, func(t *testing.T) {
			for _, s := range servers {
				repairing(t, s)
			}
			for _, s := range servers {
				for _, peer := range servers {
					eventually(t, "known", func() error { return interested(s, logAccount, "trireme.repair."+hostOf(peer)+".roots") })
				}
				lookAtRepair(t, s, servers)
			}
		})
	}
}

func hostOf(s *Server) string { return or(s.Name, defaultName) }

func lookAtRepair(t *testing.T, s *Server, servers []*Server) {
	t.Helper()
	outside, errs := dial(t, s, nats.UserInfo("ops", "p2"))
	for _, peer := range servers {
		if got := answers(t, outside, "trireme.repair."+hostOf(peer)+".roots", 1); !slices.Equal(got, []string{hostOf(peer)}) {
			t.Errorf("%s has %q answers to one question", hostOf(peer), got)
		}
		if got := answers(t, outside, "trireme.repair."+hostOf(peer)+".documents", 3); !slices.Equal(got, []string{"1", "2", "3"}) {
			t.Errorf("%s has %q answers to what has three", hostOf(peer), got)
		}
	}
	// What `nats service list`, `info` and `stats` ask.
	for _, subject := range []string{"$SRV.PING", "$SRV.INFO", "$SRV.STATS", "$SRV.PING.trireme-repair", "$SRV.INFO.trireme-repair", "$SRV.STATS.trireme-repair"} {
		found := answers(t, outside, subject, len(servers))
		if len(found) != len(servers) {
			t.Errorf("%s finds %q, want one answer of each of %d hosts", subject, found, len(servers))
		}
		for _, text := range found {
			var who micro.ServiceIdentity
			if err := json.Unmarshal([]byte(text), &who); err != nil {
				t.Fatal(err)
			}
			one := fmt.Sprintf("$SRV.STATS.%s.%s", who.Name, who.ID)
			if got := answers(t, outside, one, 1); len(got) != 1 {
				t.Errorf("%s has %q answers", one, got)
			}
		}
	}
	if len(errs) != 0 {
		t.Errorf("the connection reports %v", <-errs)
	}
}

// TestClientsDoNotLookAtRepair: it shows every document to who can ask.
func TestClientsDoNotLookAtRepair(t *testing.T) {
	s := started(t, withUsers())
	repairing(t, s)
	outside, errs := dial(t, s, nats.UserInfo("adama", "p1"))
	for _, c := range repairCalls {
		if err := outside.Publish(strings.Replace(c.subject, "*", "h1", 1), nil); err != nil {
			t.Fatal(err)
		}
		refused(t, errs)
	}
}
