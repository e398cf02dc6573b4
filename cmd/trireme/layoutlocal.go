package main

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"trireme/internal/layout"
	"trireme/internal/layoutfile"
)

// Where the ports of a local host lie above the base and its number.
const (
	localRoutes = 100
	localHTTP   = 200
	localMost   = 100 // hosts; more would meet the ports of routes
)

// A localFlags is what the command line says of a cluster on this machine.
type localFlags struct {
	hosts     int
	dir       string
	base      int
	adamaBase int
}

func (l *localFlags) flags(f *pflag.FlagSet) {
	f.IntVar(&l.hosts, "local", 3, "write the files of a cluster of `N` hosts on this machine; also without it when --dir is given")
	f.StringVar(&l.dir, "dir", "", "write them into this `directory`")
	f.IntVar(&l.base, "base-port", natsPort, "the `port` below those of the hosts")
	f.IntVar(&l.adamaBase, "adama-base-port", 0, "name an Adama node at this `port` + i beside host i; none when it is not given")
}

func (l *localFlags) wanted(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("local") || cmd.Flags().Changed("dir")
}

// refuse keeps flags of a local cluster from standing beside --hosts.
func (l *localFlags) refuse(cmd *cobra.Command) error {
	for _, name := range []string{"base-port", "adama-base-port"} {
		if cmd.Flags().Changed(name) {
			return usage("--%s goes with --local and --dir", name)
		}
	}
	return nil
}

func (l *localFlags) check() error {
	last := l.base + localHTTP + l.hosts
	switch {
	case l.dir == "":
		return usage("--local %d: --dir is missing", l.hosts)
	case l.hosts < 1 || l.hosts > localMost:
		return usage("--local %d: want 1 to %d", l.hosts, localMost)
	case l.base < 1 || last > 65535:
		return usage("--base-port %d: want 1 to %d, so that the ports up to %d above it can be", l.base, 65535-localHTTP-l.hosts, localHTTP+l.hosts)
	case l.adamaBase < 0 || l.adamaBase+l.hosts > 65535:
		return usage("--adama-base-port %d: want 1 to %d", l.adamaBase, 65535-l.hosts)
	}
	return nil
}

func localAddress(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// host is the i-th host, from 1.
func (l *localFlags) host(i int) layout.Host {
	h := layout.Host{
		Name: "h" + strconv.Itoa(i), NATS: localAddress(l.base + i),
		Route: localAddress(l.base + localRoutes + i), HTTP: localAddress(l.base + localHTTP + i),
	}
	if l.adamaBase > 0 {
		h.Adama = localAddress(l.adamaBase + i)
	}
	return h
}

// generateLocal writes the layout and the configurations of a cluster on this machine.
func (a *app) generateLocal(cmd *cobra.Command, f *generateFlags) error {
	for _, name := range []string{"hosts", "out"} {
		if cmd.Flags().Changed(name) {
			return usage("--%s does not go with --local", name)
		}
	}
	if err := f.local.check(); err != nil {
		return err
	}
	dir, err := filepath.Abs(f.local.dir)
	if err != nil {
		return err
	}
	var hosts []layout.Host
	for i := 1; i <= f.local.hosts; i++ {
		hosts = append(hosts, f.local.host(i))
	}
	l, err := f.layout(cmd, hosts)
	if err != nil {
		return err
	}
	password := rand.Text()
	files := []newFile{{filepath.Join(dir, "layout.conf"), layoutfile.Format(l), 0o600}}
	for _, h := range hosts {
		files = append(files, newFile{filepath.Join(dir, h.Name+".conf"), localConfig(dir, h, password), 0o600})
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := f.write(files...); err != nil {
		return err
	}
	v := generatedView{nameLayout(files[0].path, l), []string{}, l, layout.NewReport(l)}
	for _, w := range files {
		v.Files = append(v.Files, w.path)
	}
	if err := a.tellLayout(&v, v.print); err != nil {
		return err
	}
	a.say("\nrun each host: trireme serve --config %s", files[1].path)
	return nil
}

// localConfig is the configuration of one host.
func localConfig(dir string, h layout.Host, password string) []byte {
	path := func(parts ...string) string { return strconv.Quote(filepath.Join(append([]string{dir}, parts...)...)) }
	return []byte(strings.TrimLeft(fmt.Sprintf(`
# Host %[1]s of a cluster on one machine, as "trireme layout generate --local" wrote it.
# Run it: trireme serve --config %[2]s
host: %[1]s
data: %[3]s
listen: %[4]q
http: %[5]q
layout: %[6]s

# What the hosts show one another: the same on all of them.
cluster {
  name: trireme
  user: route
  password: %[7]q
}
`, h.Name, path(h.Name+".conf"), path(h.Name), h.NATS, h.HTTP, path("layout.conf"), password), "\n"))
}
