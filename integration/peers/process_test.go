package main

import (
	"errors"
	"strings"
	"testing"
)

func TestClusterEnds(t *testing.T) {
	c, err := newCluster(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := c.start(name, "sleep", "1000"); err != nil {
			t.Fatal(err)
		}
	}
	if u, err := c.usage(); err != nil || u.cpu < 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if err := errors.Join(c.alive(), c.stop()); err != nil {
		t.Error(err)
	}
	if err := c.alive(); err == nil {
		t.Error("alive after stop")
	}
}

// A server that ends by itself says why.
func TestServerThatEnds(t *testing.T) {
	c, err := newCluster(t.TempDir(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.start("a", "sh", "-c", "echo no disk >&2; exit 3"); err != nil {
		t.Fatal(err)
	}
	<-c.processes[0].ended
	if err := c.alive(); err == nil || !strings.Contains(err.Error(), "a ended: exit status 3\nno disk") {
		t.Errorf("%v", err)
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}
