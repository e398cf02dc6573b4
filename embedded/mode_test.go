package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettleMode(t *testing.T) {
	const single, test, other = "standalone", "cluster test", "cluster other"
	tests := []struct {
		name    string
		streams bool
		file    string // "" is none
		mode    string
		refused bool
	}{
		{"new, alone", false, "", single, false},
		{"new, clustered", false, "", test, false},
		{"from before, alone", true, "", single, false},
		{"from before, clustered", true, "", test, true},
		{"alone stays alone", true, single, single, false},
		{"alone to clustered", true, single, test, true},
		{"clustered stays clustered", true, test, test, false},
		{"clustered to alone", true, test, single, true},
		{"another cluster", true, test, other, true},
		{"set aside, then alone", false, test, single, false},
		{"set aside, then clustered", false, single, test, false},
		{"half written, alone", true, "clus", single, true},
		{"empty file", true, "\n", single, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, modeFile)
			if tt.streams {
				if err := os.Mkdir(filepath.Join(dir, storeDir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if tt.file != "" {
				if err := os.WriteFile(path, []byte(tt.file), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := settleMode(dir, tt.mode)
			if tt.refused {
				if !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), "choose another directory") {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(path); !tt.streams && (err != nil || string(text) != tt.mode+"\n") {
				t.Errorf("the file says %q, %v", text, err)
			}
			// From here on the directory may only be used in this mode, streams or not yet.
			if err := os.MkdirAll(filepath.Join(dir, storeDir), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, mode := range []string{single, test, other} {
				if err := settleMode(dir, mode); errors.Is(err, ErrMode) != (mode != tt.mode) {
					t.Errorf("then as %s: %v", mode, err)
				}
			}
		})
	}
}

func TestStartRefusesTheOtherMode(t *testing.T) {
	alone := started(t, &Server{})
	withLog(t, alone)
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	clustered := hosts(t, 2, func() *Server { return &Server{} })[0]
	if err := clustered.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := clustered.Close(); err != nil {
		t.Fatal(err)
	}
	alone.Cluster, clustered.Cluster = clustered.Cluster, nil
	for _, s := range []*Server{alone, clustered} {
		if err := s.Start(t.Context()); !errors.Is(err, ErrMode) {
			t.Errorf("start as %v: %v", s.Cluster, err)
		}
	}
	alone.Cluster = nil // and nothing is lost
	started(t, alone)
	nc, err := alone.Log()
	if err != nil {
		t.Fatal(err)
	}
	if got := record(t, nc, "trireme-s1", 1); got != "first record of s1" {
		t.Errorf("record 1 is %q", got)
	}
}
