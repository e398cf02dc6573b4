package service

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	"trireme/internal/contract"
	"trireme/internal/semver"
)

// The service speaks the discovery protocol of NATS micro services (ADR-32), so
// that `nats service ls|info|stats|ping` shows it. The types on the wire are the
// micro library's; its service type is not used, because each of its endpoints
// runs on a goroutine of its own and requests would overtake one another.

// stats counts what an endpoint has answered.
type stats struct {
	mu       sync.Mutex
	requests int
	errors   int
	last     string
	took     time.Duration
}

func (s *stats) note(took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.took += took
	if err != nil {
		s.errors++
		s.last = err.Error()
	}
}

func (s *stats) of(op *operation) *micro.EndpointStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &micro.EndpointStats{
		Name: op.name, Subject: contract.SubjectPrefix + op.name, QueueGroup: queueGroup,
		NumRequests: s.requests, NumErrors: s.errors, LastError: s.last, ProcessingTime: s.took,
	}
	if s.requests > 0 {
		e.AverageProcessingTime = s.took / time.Duration(s.requests)
	}
	return e
}

func (s *Service) identify() micro.ServiceIdentity {
	return micro.ServiceIdentity{
		Name: contract.ServiceName, ID: nuid.Next(), Version: semver.Of(s.Version),
		Metadata: map[string]string{"host": s.Host},
	}
}

// discoverable answers PING, INFO and STATS, each to all, to this service's name
// and to this instance.
func (s *Service) discoverable() error {
	for verb, answer := range map[micro.Verb]func() any{
		micro.PingVerb:  func() any { return micro.Ping{ServiceIdentity: s.identity, Type: micro.PingResponseType} },
		micro.InfoVerb:  func() any { return s.info() },
		micro.StatsVerb: func() any { return s.allStats() },
	} {
		for _, target := range [][2]string{{}, {contract.ServiceName}, {contract.ServiceName, s.identity.ID}} {
			subject, err := micro.ControlSubject(verb, target[0], target[1])
			if err != nil {
				return err
			}
			sub, err := s.Conn.Subscribe(subject, func(m *nats.Msg) {
				data, err := marshal(answer())
				if err == nil {
					err = m.Respond(data)
				}
				if err != nil {
					s.Logger.Warn("discovery", "subject", m.Subject, "error", err)
				}
			})
			if err != nil {
				return err
			}
			s.subs = append(s.subs, sub)
		}
	}
	return nil
}

func (s *Service) info() micro.Info {
	info := micro.Info{
		ServiceIdentity: s.identity, Type: micro.InfoResponseType,
		Description: "Adama's documents, replicated: every change is in the log before it is acknowledged",
	}
	for _, name := range contract.Ops() {
		op := s.ops[name]
		info.Endpoints = append(info.Endpoints, micro.EndpointInfo{
			Name: name, Subject: contract.SubjectPrefix + name, QueueGroup: queueGroup,
			Metadata: map[string]string{
				"description":     op.says,
				"request_schema":  schemaText(op.request),
				"response_schema": schemaText(op.response),
			},
		})
	}
	return info
}

func (s *Service) allStats() micro.Stats {
	all := micro.Stats{ServiceIdentity: s.identity, Type: micro.StatsResponseType, Started: s.started}
	for _, name := range contract.Ops() {
		all.Endpoints = append(all.Endpoints, s.ops[name].stats.of(s.ops[name]))
	}
	return all
}

func schemaText(v any) string {
	b, err := json.Marshal(schemaOf(v))
	if err != nil {
		return err.Error()
	}
	return string(b)
}
