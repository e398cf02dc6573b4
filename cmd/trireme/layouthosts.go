package main

import (
	"net"
	"strconv"
	"strings"

	"trireme/internal/layout"
)

// The ports that a host has when its address says none.
const (
	natsPort  = 4222
	routePort = 6222
	httpPort  = 7422
)

const hostsHelp = `Hosts are written as NAME=ADDRESS, parted by commas or blanks:

  --hosts h1=10.0.0.1,h2=10.0.0.2,h3=10.0.0.3

They take port 4222 for clients (nats), 6222 for the routes of the other hosts
(route) and 7422 for HTTP (http). What is other follows its host, as host:port or
as a port alone; adama is the address of the Adama node beside it:

  --hosts h1=10.0.0.1,adama=10.0.0.1:8080
  --hosts h2=10.0.0.2,nats=4333,http=h2.example.org:80
  --hosts h3,nats=a:4222,route=b:6222,http=c:7422

The flag may be given several times.`

// A hostText is a host as the command line says it.
type hostText struct {
	name, address string
	more          map[string]string // nats, route, http, adama
}

// parseHosts reads the values of --hosts.
func parseHosts(values []string) ([]layout.Host, error) {
	var texts []*hostText
	for _, item := range strings.FieldsFunc(strings.Join(values, ","), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
		key, value, given := strings.Cut(item, "=")
		switch {
		case given && value == "":
			return nil, usage("--hosts: %s is empty", item)
		case given && isHostField(key):
			if len(texts) == 0 {
				return nil, usage("--hosts: %s stands before a host; begin with a name, as in h1=10.0.0.1", item)
			}
			last := texts[len(texts)-1]
			if _, twice := last.more[key]; twice {
				return nil, usage("--hosts: %s is the second %s of %s", item, key, last.name)
			}
			last.more[key] = value
		default:
			texts = append(texts, &hostText{name: key, address: value, more: map[string]string{}})
		}
	}
	hosts := make([]layout.Host, 0, len(texts))
	for _, t := range texts {
		hosts = append(hosts, t.host())
	}
	return hosts, nil
}

func isHostField(key string) bool {
	switch key {
	case "nats", "route", "http", "adama":
		return true
	}
	return false
}

func (t *hostText) host() layout.Host {
	return layout.Host{
		Name: t.name, NATS: t.at("nats", natsPort), Route: t.at("route", routePort), HTTP: t.at("http", httpPort),
		Adama: t.at("adama", 0),
	}
}

// at is one of the addresses of a host; without one it takes the port, if there is any.
func (t *hostText) at(kind string, port int) string {
	bare := strings.TrimSuffix(strings.TrimPrefix(t.address, "["), "]")
	text, given := t.more[kind]
	if _, err := strconv.ParseUint(text, 10, 16); given && (err != nil || bare == "") {
		return text
	}
	switch {
	case given:
		return net.JoinHostPort(bare, text)
	case bare == "" || port == 0:
		return ""
	}
	return net.JoinHostPort(bare, strconv.Itoa(port))
}
