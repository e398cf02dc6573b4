package embedded

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStreamsLandWhereTheirTagsAre(t *testing.T) {
	t.Parallel() // it waits for elections
	servers := hosts(t, 4, func() *Server { return &Server{} })
	for _, i := range []int{0, 2, 3} {
		servers[i].Cluster.Tags = []string{"all", "s1"}
	}
	together(t, servers)
	nc, js := logOf(t, servers[1])
	replicated(t, js, "s1", "s1")
	if got := strings.Join(keepers(t, js, "trireme-s1"), " "); got != "h1 h3 h4" {
		t.Errorf("the stream is on %s", got)
	}
	publish(t, js, "s1", "first")
	first := leader(t, servers, "trireme-s1")
	if got := strings.Join(servers[1].Connected(), " "); got != "h1 h3 h4" {
		t.Errorf("routes to %q", got)
	}

	// Leadership goes where one asks for it.
	target := servers[0]
	if first == target {
		target = servers[2]
	}
	eventually(t, "led by "+target.Name, func() error {
		body := fmt.Sprintf(`{"placement":{"preferred":%q}}`, target.Name)
		m, err := nc.RequestWithContext(t.Context(), "$JS.API.STREAM.LEADER.STEPDOWN.trireme-s1", []byte(body))
		if err != nil {
			return err
		}
		var answer struct{ Error any }
		if err := json.Unmarshal(m.Data, &answer); err != nil || answer.Error != nil {
			return fmt.Errorf("%s, %w", m.Data, err)
		}
		if got := leader(t, servers, "trireme-s1"); got != target {
			return errors.New("it went to " + got.Name)
		}
		return nil
	})
	for _, i := range []int{0, 2, 3} {
		eventually(t, "current", func() error {
			if !servers[i].StreamCurrent("trireme-s1") {
				return errors.New("it lags")
			}
			return nil
		})
	}
	if servers[1].StreamCurrent("trireme-s1") {
		t.Error("a server that does not keep the stream is current")
	}
}

// TestClusterComesUpInAnyOrder starts one server after the other, closes the leader, and
// starts it again. The first time all have to be there; afterwards a majority is enough.
func TestClusterComesUpInAnyOrder(t *testing.T) {
	t.Parallel() // it waits for elections
	servers := hosts(t, 3, func() *Server { return &Server{} })
	for i, s := range servers {
		s.Listen = freeAddresses(t, 1)[0]
		s.Cluster.Advertise = fmt.Sprintf("localhost:%d", 40001+i)
	}
	solitary(t, servers[2])
	// It is up, though nothing can be agreed on, and says so.
	if err := servers[2].Healthy(); err == nil || !strings.Contains(err.Error(), "meta l") {
		t.Errorf("alone it is %v", err)
	}
	if got := servers[2].MetaLeader(); got != "" || servers[2].LeadsStream("trireme-s1") || servers[2].StreamCurrent("trireme-s1") {
		t.Errorf("alone it knows of the leader %q, and leads", got)
	}
	solitary(t, servers[0])
	together(t, servers[1:2])
	for _, s := range servers {
		eventually(t, "connected", func() error { return joined(servers, s) })
	}
	_, js := logOf(t, servers[0])
	replicated(t, js, "s1", "all")
	publish(t, js, "s1", "first")
	toldOfOthers(t, servers[0])

	lost := leader(t, servers, "trireme-s1")
	inTime(t, lost)
	if lost.LeadsStream("trireme-s1") || lost.Connected() != nil || lost.MetaLeader() != "" {
		t.Error("closed, it leads or is connected")
	}
	rest := slices.DeleteFunc(slices.Clone(servers), func(s *Server) bool { return s == lost })
	_, js = logOf(t, leader(t, rest, "trireme-s1"))
	publish(t, js, "s1", "second")

	solitary(t, lost)
	eventually(t, "back", func() error {
		if !lost.StreamCurrent("trireme-s1") {
			return errors.New("it lags")
		}
		return lost.Healthy()
	})
	stored(t, servers, "trireme-s1", 2)

	closeAll(t, servers)
	together(t, servers[1:]) // two of three
	_, js = logOf(t, servers[1])
	publish(t, js, "s1", "third")
	stored(t, servers[1:], "trireme-s1", 3)
}

// joined returns nil once the server has a route to each other one and knows who leads.
func joined(servers []*Server, s *Server) error {
	var others []string
	for _, other := range servers {
		if other != s {
			others = append(others, other.Name)
		}
	}
	if got := s.Connected(); !slices.Equal(got, others) {
		return fmt.Errorf("%s has routes to %q", s.Name, got)
	}
	if got := s.MetaLeader(); got == "" || got != servers[0].MetaLeader() {
		return fmt.Errorf("%s knows of the leader %q", s.Name, got)
	}
	return nil
}

// toldOfOthers holds that clients of the first server learn where the others are.
func toldOfOthers(t *testing.T, first *Server) {
	t.Helper()
	client, _ := dial(t, first)
	defer client.Close()
	eventually(t, "told of the others", func() error {
		if got := client.DiscoveredServers(); !slices.Contains(got, "nats://localhost:40002") || !slices.Contains(got, "nats://localhost:40003") {
			return fmt.Errorf("it knows of %q", got)
		}
		return nil
	})
}

// TestFrozenPeer stops a server as a hanging machine would: its connections stay open
// and take nothing. The others give it up, and close in time.
func TestFrozenPeer(t *testing.T) {
	t.Parallel() // it waits for elections
	servers := hosts(t, 3, func() *Server { return &Server{} })
	frozen := elsewhere(t, servers[2])
	rest := servers[:2]
	together(t, rest)
	nc, js := logOf(t, rest[0])
	replicated(t, js, "s1", "all")
	publish(t, js, "s1", "first")
	if err := frozen.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Nobody has noticed yet: close one server now. What waits for the frozen one, more
	// than fits into the kernel, must not keep it.
	for range 200 {
		if err := nc.Publish("trireme.tail.s1", make([]byte, 1<<16)); err != nil {
			t.Fatal(err)
		}
	}
	inTime(t, rest[1])
	eventually(t, "rid of the frozen server", func() error {
		if got := rest[0].Connected(); len(got) != 0 {
			return fmt.Errorf("routes to %q", got)
		}
		return nil
	})
	inTime(t, rest[0])
}

// inTime closes the server, and fails if that takes for ever.
func inTime(t *testing.T, s *Server) {
	t.Helper()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(election):
		t.Fatalf("close of %s hangs", s.Name)
	}
}

// elsewhere starts the server in a process of its own, which is killed at the end.
func elsewhere(t *testing.T, s *Server) *os.Process {
	t.Helper()
	fields, err := json.Marshal(map[string]any{"Name": s.Name, "Dir": s.Dir, "Listen": s.Listen, "Cluster": s.Cluster})
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), holdServer+"="+string(fields))
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill() // also a frozen one
		_ = other.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "serving\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return other.Process
}

// TestLeadsStreamIsCheap as it is polled.
func TestLeadsStreamIsCheap(t *testing.T) {
	s := hosts(t, 2, func() *Server { return &Server{} })[0]
	solitary(t, s)
	if n := testing.AllocsPerRun(100, func() { s.LeadsStream("trireme-s1") }); n > 1 {
		t.Errorf("it allocates %v times", n)
	}
	alone := started(t, &Server{})
	if !alone.LeadsStream("trireme-s1") || alone.MetaLeader() != "" || len(alone.Connected()) != 0 {
		t.Error("a server that stands alone leads its streams, and has no others")
	}
}
