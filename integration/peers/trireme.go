package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"trireme/adapter"
	"trireme/internal/config"
	"trireme/internal/layoutfile"
)

// triremeContestant are hosts with the layout that `trireme layout generate` makes
// for one machine, or one host without a layout. A change is a patch, validated,
// applied, and findable by its request id.
func triremeContestant(stripes int) contestant {
	name := fmt.Sprintf("%s/%d", familyTrireme, stripes)
	return contestant{
		name:  name,
		start: func(ctx context.Context, e *environment, c *cluster) error { return startTrireme(ctx, e, c, stripes) },
		ways:  []way{{name, connectTrireme}},
	}
}

func startTrireme(ctx context.Context, e *environment, c *cluster, stripes int) error {
	ports, err := freePorts()
	if err != nil {
		return err
	}
	files, err := triremeConfigs(ctx, e, c, ports, stripes)
	if err != nil {
		return err
	}
	var ready []string
	for i, file := range files {
		cfg, err := config.Load(file)
		if err != nil {
			return err
		}
		c.addresses = append(c.addresses, cfg.Listen)
		ready = append(ready, "http://"+cfg.HTTP+"/readyz")
		if e.settings.profiles != "" {
			address := ports.at(2, 50+i)
			if err := edit(file, func(text string) string { return text + "\nnats { prof_port: " + portOf(address) + " }\n" }); err != nil {
				return err
			}
			c.pprof = append(c.pprof, address)
		}
		if err := c.start(cfg.Host, e.programs.trireme, "serve", "--config", file); err != nil {
			return err
		}
	}
	if err := c.awaitURLs(ctx, "Trireme is ready", ready); err != nil || e.settings.hosts == 1 {
		return err
	}
	at, err := preferredOwners(filepath.Join(c.dir, "layout.conf"))
	if err != nil {
		return err
	}
	if err := c.awaitURLs(ctx, "each stripe is with the host that it prefers", at); err != nil {
		return err
	}
	// For two seconds a host that gave a stripe away answers there too.
	select {
	case <-time.After(3 * time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// preferredOwners are URLs that answer 200 when each stripe is owned by the first of
// its hosts, as in a cluster that has been well for a while.
func preferredOwners(file string) (urls []string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	l, err := layoutfile.Parse(file, text)
	if err != nil {
		return nil, err
	}
	told := map[string]bool{}
	for _, p := range l.Partitions {
		if told[p.Stripe] {
			continue
		}
		told[p.Stripe] = true
		stripe, _ := l.Stripe(p.Stripe) // a layout that parses has it
		first, _ := l.Host(stripe.Hosts[0])
		urls = append(urls, "http://"+first.HTTP+"/owner/"+p.ID.String())
	}
	return urls, nil
}

// triremeConfigs writes the hosts' configuration files.
func triremeConfigs(ctx context.Context, e *environment, c *cluster, ports portBlock, stripes int) ([]string, error) {
	if e.settings.hosts == 1 {
		file := filepath.Join(c.dir, "h1.conf")
		text := fmt.Sprintf("host: h1\ndata: %q\nlisten: %q\nhttp: %q\n", filepath.Join(c.dir, "h1"), ports.at(0, 1), ports.at(2, 1))
		return []string{file}, os.WriteFile(file, []byte(text), 0o600)
	}
	hosts := e.settings.hosts
	args := []string{"layout", "generate", "--local", strconv.Itoa(hosts), "--dir", c.dir, "--base-port", strconv.Itoa(int(ports))}
	if stripes%hosts == 0 {
		args = append(args, "--stripes-per-host", strconv.Itoa(stripes/hosts))
	} else {
		args = append(args, "--stripes", strconv.Itoa(stripes))
	}
	if out, err := exec.CommandContext(ctx, e.programs.trireme, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("trireme %v: %w\n%s", args, err, out)
	}
	var files []string
	for i := 1; i <= hosts; i++ {
		file := filepath.Join(c.dir, fmt.Sprintf("h%d.conf", i))
		if err := edit(file, preferSoon); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// preferSoon lets stripes go to the hosts that they prefer a second after the start,
// not half a minute. Nothing else of the configuration is changed.
func preferSoon(text string) string {
	return strings.Replace(text, "\ncluster {\n", "\ncluster {\n  prefer_after: 1s\n", 1)
}

func edit(file string, change func(text string) string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(change(string(text))), 0o600)
}

// connectTrireme makes the clients and their documents.
func connectTrireme(ctx context.Context, c *cluster, s *settings) (*fleet, error) {
	var all []*patcher
	f, err := newFleet(s, func(f *fleet, first, clients int) (driver, error) {
		conns, err := connectNATS(c, f)
		if err != nil {
			return nil, err
		}
		var hosts []*adapter.Client
		for _, nc := range conns {
			client, err := adapter.NewClient(nc)
			if err != nil {
				return nil, err
			}
			hosts = append(hosts, client)
		}
		var ordinary callers
		var askers []natsAsker
		for i := first; i < first+clients; i++ {
			p := newPatcher(i, hosts)
			all, ordinary, askers = append(all, p), append(ordinary, p), append(askers, p)
		}
		if s.client == clientLean {
			return newNATSLine(conns, askers, first)
		}
		return ordinary, nil
	})
	if err != nil {
		return nil, err
	}
	if err := initialize(ctx, all); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// initialize makes the documents, all at once.
func initialize(ctx context.Context, patchers []*patcher) error {
	errs := make([]error, len(patchers))
	var all sync.WaitGroup
	for i, p := range patchers {
		all.Go(func() { errs[i] = p.initialize(ctx) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("create the documents: %w", err) // one of many alike
		}
	}
	return nil
}
