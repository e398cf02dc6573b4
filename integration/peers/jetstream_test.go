package main

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

func TestServersSyncAlways(t *testing.T) {
	for servers, routes := range map[int]int{1: 0, 3: 3} {
		var o server.Options
		if err := o.ProcessConfigString(natsConfig(20000, 1, servers, t.TempDir())); err != nil {
			t.Fatal(err)
		}
		if !o.SyncAlways || !o.JetStream || len(o.Routes) != routes || o.Port != 20001 || o.ProfPort != 20201 {
			t.Errorf("%d servers: %+v", servers, o)
		}
	}
}
