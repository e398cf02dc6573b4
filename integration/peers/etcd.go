package main

import (
	"context"
	"fmt"
	"strings"
)

// The ways of asking etcd. A put without a condition is etcd's best case; the
// transaction that puts if nobody else has since is the equal of a patch, which
// goes on from the head that it names.
const (
	etcdPut = "etcd put"
	etcdTxn = "etcd txn"
)

// etcdContestant are members with etcd's own settings, which sync before they
// acknowledge.
func etcdContestant() contestant {
	return contestant{name: "etcd", start: startEtcd, ways: []way{
		{etcdPut, func(_ context.Context, c *cluster, s *settings) (*fleet, error) {
			return connectEtcd(c, s, newPutter, newPut)
		}},
		{etcdTxn, func(_ context.Context, c *cluster, s *settings) (*fleet, error) {
			return connectEtcd(c, s, newSwapper, newSwap)
		}},
	}}
}

func startEtcd(ctx context.Context, e *environment, c *cluster) error {
	ports, err := freePorts()
	if err != nil {
		return err
	}
	var members []string
	for i := 1; i <= e.settings.hosts; i++ {
		members = append(members, fmt.Sprintf("m%d=http://%s", i, ports.at(1, i)))
	}
	for i := 1; i <= e.settings.hosts; i++ {
		name, client, peer := fmt.Sprintf("m%d", i), "http://"+ports.at(0, i), "http://"+ports.at(1, i)
		args := []string{
			"--name", name, "--data-dir", c.dir + "/" + name, "--log-level", "warn",
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(members, ","),
		}
		if e.settings.profiles != "" {
			args = append(args, "--enable-pprof")
		}
		if err := c.start(name, e.programs.etcd, args...); err != nil {
			return err
		}
		c.addresses = append(c.addresses, ports.at(0, i))
		c.pprof = append(c.pprof, ports.at(0, i))
	}
	var healthy []string
	for _, address := range c.addresses {
		healthy = append(healthy, "http://"+address+"/health")
	}
	return c.awaitURLs(ctx, "etcd elects a leader", healthy)
}

// An etcdDocument is the key of one client.
type etcdDocument struct {
	key   string
	texts *texts
}

func newEtcdDocument(way string, client int) etcdDocument {
	return etcdDocument{fmt.Sprintf("%s/doc-%04d", way, client), newTexts(uint64(client))}
}

// connectEtcd connects to all members, who are asked in turn.
func connectEtcd(c *cluster, s *settings, ordinary newEtcdCaller, lean newEtcdAsker) (*fleet, error) {
	return newFleet(s, func(f *fleet, first, clients int) (driver, error) {
		if s.client == clientLean {
			return connectEtcdLean(c, f, first, clients, lean)
		}
		return connectEtcdOrdinary(c, f, first, clients, ordinary)
	})
}
