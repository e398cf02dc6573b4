package embedded

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// Broken says why this server will never write to its streams again, nil while it may
// or does not run.
// A write or an fsync has failed, or the disk was full: JetStream has then stopped
// whatever it was that met it, and keeps that until the process ends, also when the disk
// is well again. The other members of a stream go on without it.
//
// Nil does not say that all is well: see [Server.Healthy].
func (s *Server) Broken() error {
	nats := s.NATS()
	if nats == nil {
		return nil
	}
	return brokenBy(nats.Healthz(&server.HealthzOptions{Details: true}).Errors)
}

func brokenBy(faults []server.HealthzError) error {
	for _, f := range faults {
		off := f.Type == server.HealthzErrorJetStream && f.Error == server.NewJSNotEnabledError().Error()
		// The server has no code for it, only these words, for its meta layer, streams and groups alike.
		if off || strings.Contains(f.Error, "write error: ") {
			return fmt.Errorf("the NATS server cannot write: %s", f.Error)
		}
	}
	return nil
}
