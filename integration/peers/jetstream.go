package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// jetStreamContestant are bare NATS servers with so many streams, each led by
// another server in turn, and one message for each change: the least that
// JetStream asks for the same durability. Nothing is validated.
func jetStreamContestant(streams int) contestant {
	name := fmt.Sprintf("%s/%d", familyJetStream, streams)
	return contestant{
		name:  name,
		start: func(ctx context.Context, e *environment, c *cluster) error { return startJetStream(ctx, e, c, streams) },
		ways: []way{{name, func(_ context.Context, c *cluster, s *settings) (*fleet, error) {
			return connectJetStream(c, s, streams)
		}}},
	}
}

func startJetStream(ctx context.Context, e *environment, c *cluster, streams int) error {
	ports, err := freePorts()
	if err != nil {
		return err
	}
	for i := 1; i <= e.settings.hosts; i++ {
		name := fmt.Sprintf("n%d", i)
		path := filepath.Join(c.dir, name+".conf")
		if err := os.WriteFile(path, []byte(natsConfig(ports, i, e.settings.hosts, filepath.Join(c.dir, name))), 0o600); err != nil {
			return err
		}
		if err := c.start(name, e.programs.nats, "-c", path); err != nil {
			return err
		}
		c.addresses = append(c.addresses, ports.at(0, i))
		c.pprof = append(c.pprof, ports.at(2, i))
	}
	return makeStreams(ctx, c, streams, e.settings.hosts)
}

// natsConfig is a server as Trireme's own are set: synced always, payloads of any size.
func natsConfig(ports portBlock, i, servers int, dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "server_name: n%d\nlisten: %q\nprof_port: %s\nmax_payload: 64MB\n", i, ports.at(0, i), portOf(ports.at(2, i)))
	fmt.Fprintf(&b, "jetstream { store_dir: %q, sync_interval: always }\n", dir)
	if servers > 1 {
		var routes []string
		for n := 1; n <= servers; n++ {
			routes = append(routes, fmt.Sprintf("%q", "nats-route://"+ports.at(1, n)))
		}
		fmt.Fprintf(&b, "cluster { name: bare, listen: %q, routes: [%s] }\n", ports.at(1, i), strings.Join(routes, ", "))
	}
	return b.String()
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// makeStreams makes the streams as soon as the servers can, and spreads their leaders.
func makeStreams(ctx context.Context, c *cluster, streams, servers int) error {
	var nc *nats.Conn
	err := c.await(ctx, "connect to NATS", func(context.Context) (err error) {
		nc, err = nats.Connect("nats://" + c.addresses[0])
		return err
	})
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	for i := range streams {
		cfg := jetstream.StreamConfig{Name: streamName(i), Subjects: []string{streamName(i)}, Storage: jetstream.FileStorage, Replicas: servers}
		err := c.await(ctx, "create a stream", func(ctx context.Context) error {
			_, err := js.CreateOrUpdateStream(ctx, cfg)
			return err
		})
		if err != nil {
			return err
		}
	}
	if servers == 1 {
		return nil
	}
	for i := range streams {
		err := c.await(ctx, "spread the streams' leaders", func(ctx context.Context) error {
			return lead(ctx, js, streamName(i), fmt.Sprintf("n%d", 1+i%servers))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// streamName is also the one subject of a stream.
func streamName(i int) string { return fmt.Sprintf("bare-%d", i) }

// lead fails until a server leads a stream with all others up to date, and asks for it.
func lead(ctx context.Context, js jetstream.JetStream, stream, server string) error {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	at := s.CachedInfo().Cluster
	if at == nil {
		return fmt.Errorf("stream %s is in no cluster", stream)
	}
	if at.Leader == server {
		for _, r := range at.Replicas {
			if !r.Current {
				return fmt.Errorf("stream %s: the replica on %s is behind", stream, r.Name)
			}
		}
		return nil
	}
	body, err := json.Marshal(map[string]any{"placement": map[string]string{"preferred": server}})
	if err != nil {
		return err
	}
	reply, err := js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, body)
	if err != nil {
		return err
	}
	return fmt.Errorf("stream %s is led by %s, not by %s; asked for that, the answer was %s", stream, at.Leader, server, reply.Data)
}

// connectJetStream gives each client one of the streams.
func connectJetStream(c *cluster, s *settings, streams int) (*fleet, error) {
	return newFleet(s, func(f *fleet, first, clients int) (driver, error) {
		conns, err := connectNATS(c, f)
		if err != nil {
			return nil, err
		}
		var ordinary callers
		var askers []natsAsker
		for i := first; i < first+clients; i++ {
			p := &publisher{subject: streamName(i % streams), texts: newTexts(uint64(i)), turn: i}
			askers = append(askers, p)
			for _, nc := range conns {
				js, err := jetstream.New(nc)
				if err != nil {
					return nil, err
				}
				p.hosts = append(p.hosts, js)
			}
			ordinary = append(ordinary, p)
		}
		if s.client == clientLean {
			return newNATSLine(conns, askers, first)
		}
		return ordinary, nil
	})
}
