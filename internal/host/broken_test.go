package host

import (
	"testing"
	"time"
)

// TestBrokenServer has JetStream stop as it does by itself when the disk is full.
func TestBrokenServer(t *testing.T) {
	r := newRig(t)
	select {
	case err := <-r.host.Broken():
		t.Fatalf("before anything is broken: %v", err)
	default:
	}
	if err := r.host.server.NATS().ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-r.host.Broken():
		t.Log(err)
	case <-time.After(patience):
		t.Fatal("nobody has noticed")
	}
}
