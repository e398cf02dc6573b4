package ops

import (
	"encoding/json"
	"errors"
	"fmt"

	"trireme/internal/semver"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// Where a host's status is asked for on NATS.
const (
	ServiceName   = "trireme"
	StatusSubject = "trireme.v1.status" // any host answers
)

// HostStatusSubject is where one host's status is asked for.
func HostStatusSubject(host string) string { return "trireme.v1.h." + host + ".status" }

// A StatusService answers with a host's status on NATS, as the micro service
// "trireme".
type StatusService struct{ service micro.Service }

// StartStatusService subscribes; when it returns, requests are answered. The
// connection stays the caller's. host is one token of a subject; version is
// semantic, with or without a leading v, and anything else is told as 0.0.0.
// status is called for each request.
func StartStatusService(nc *nats.Conn, host, version string, status func() Status) (*StatusService, error) {
	service, err := micro.AddService(nc, micro.Config{
		Name: ServiceName, Version: semver.Of(version), Description: "Trireme's hosts: what state they are in",
		Metadata: map[string]string{"host": host},
	})
	if err != nil {
		return nil, fmt.Errorf("start status service: %w", err)
	}
	answer := micro.HandlerFunc(func(r micro.Request) {
		// A caller that cannot be answered, as when the connection closes, asks
		// again; the service's statistics count what failed.
		if data, err := json.Marshal(status()); err != nil {
			_ = r.Error("500", err.Error(), nil)
		} else {
			_ = r.Respond(data)
		}
	})
	err = errors.Join(
		service.AddEndpoint("status", answer, micro.WithEndpointSubject(StatusSubject)),
		service.AddEndpoint("status-"+host, answer, micro.WithEndpointSubject(HostStatusSubject(host)), micro.WithEndpointQueueGroupDisabled()),
		nc.Flush(),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start status service: %w", err), service.Stop())
	}
	return &StatusService{service}, nil
}

// Close ceases to answer.
func (s *StatusService) Close() error {
	if err := s.service.Stop(); err != nil {
		return fmt.Errorf("close status service: %w", err)
	}
	return nil
}
