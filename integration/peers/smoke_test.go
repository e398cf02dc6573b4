package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// The whole of it, with turns too short to tell anything. It builds etcd and starts
// nine servers, which takes about a minute; so it runs only when it is asked for:
//
//	TRIREME_PEERS=1 go test -run Smoke -v .
func TestSmoke(t *testing.T) {
	if os.Getenv("TRIREME_PEERS") == "" {
		t.Skip("builds etcd and starts nine servers: set TRIREME_PEERS=1")
	}
	for _, client := range []string{clientLean, clientOrdinary} {
		var stdout, stderr bytes.Buffer
		args := []string{"--turns", "1", "--turn", "300ms", "--warm", "100ms", "--clients", "1,9", "--per-conn", "4", "--client", client, "-o", "json"}
		if exit := run(t.Context(), args, &stdout, &stderr); exit != 0 {
			t.Fatalf("%s: exit %d\n%s", client, exit, &stderr)
		}
		var r report
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Rows) != 8 || len(r.Ratios) != 6 {
			t.Errorf("%s: %d rows and %d ratios, want 8 and 6", client, len(r.Rows), len(r.Ratios))
		}
		for _, row := range r.Rows {
			m := row.Median
			if m.PerSecond <= 0 || m.P50 <= 0 || m.P99 < m.P50 || m.Max < m.P99 || m.Sync <= 0 {
				t.Errorf("%s with %d %s clients: %+v", row.Name, row.Clients, client, m)
			}
		}
	}
}
