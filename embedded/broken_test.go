package embedded

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

func TestBrokenBy(t *testing.T) {
	for text, want := range map[string]bool{
		"JetStream meta layer write error: no space left on device":                                      true,
		"JetStream stream 'TRIREME > trireme-s1' write error: input/output error":                        true,
		"JetStream stream 'TRIREME > trireme-s1' is not current: node write error: input/output error":   true,
		"JetStream stream 'TRIREME > trireme-s1' is not current: stream write error: input/output error": true,
		"JetStream stream 'TRIREME > trireme-s1' is not current: stream catching up":                     false,
		"JetStream has not established contact with a meta leader":                                       false,
	} {
		got := brokenBy([]server.HealthzError{{Error: "something that passes"}, {Type: server.HealthzErrorStream, Error: text}})
		if (got != nil) != want {
			t.Errorf("%s: %v, want broken %v", text, got, want)
		}
	}
}
