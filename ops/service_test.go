package ops

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// connection to a NATS server of the test.
func connection(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", DontListen: true, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestStatusService(t *testing.T) {
	nc := connection(t)
	for _, host := range []string{"h1", "h2"} {
		service, err := StartStatusService(nc, host, "v0.1.0-5-gabc", func() Status {
			s := healthy()
			s.Host = host
			return s
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := service.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	ask := func(subject string) (s Status) {
		t.Helper()
		reply, err := nc.Request(subject, nil, 10*time.Second)
		if err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		if err := json.Unmarshal(reply.Data, &s); err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		return s
	}
	if got := ask(StatusSubject).Host; got != "h1" && got != "h2" {
		t.Errorf("any host answers as %q", got)
	}
	for _, host := range []string{"h1", "h2"} {
		if got := ask(HostStatusSubject(host)); got.Host != host || got.Stripes[0].Applied != 120 {
			t.Errorf("%s answers %+v", host, got)
		}
	}
	info, err := nc.Request("$SRV.INFO."+ServiceName, nil, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var got micro.Info
	if err := json.Unmarshal(info.Data, &got); err != nil || got.Version != "0.1.0-5-gabc" || len(got.Endpoints) != 2 || got.Metadata["host"] == "" {
		t.Errorf("discovery tells %+v, %v", got, err)
	}
}

func TestStatusServiceNeedsAConnection(t *testing.T) {
	nc := connection(t)
	nc.Close()
	if s, err := StartStatusService(nc, "h1", "", healthy); err == nil {
		t.Errorf("started %+v on a closed connection", s)
	}
}
