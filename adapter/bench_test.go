package adapter

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
)

// BenchmarkPatch is what the client costs next to a bare request of the same
// size, against a service that answers at once.
func BenchmarkPatch(b *testing.B) {
	f := newFake(b)
	nc := f.connect()
	if _, err := nc.Subscribe(contract.SubjectPrefix+">", func(m *nats.Msg) { _ = m.Respond([]byte(`{}`)) }); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.Fatal(err)
	}
	batch := []Update{update(1, 1)}
	b.Run("client", func(b *testing.B) {
		c := f.newClient(WithWriter("node-7"))
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Patch(b.Context(), "s", "k", batch); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("request", func(b *testing.B) {
		data, err := encode(contract.PatchRequest{Space: "s", Key: "k", Patches: batch})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.client.Request(contract.SubjectPrefix+"patch", data, time.Minute); err != nil {
				b.Fatal(err)
			}
		}
	})
}
