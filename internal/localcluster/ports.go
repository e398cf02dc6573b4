package localcluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Where `trireme layout generate --local` puts a host's ports, above the base and the
// host's number.
const (
	routePorts = 100
	httpPorts  = 200
)

const (
	// loopback is where all of it happens.
	loopback = "127.0.0.1"
	// behind is where a host takes routes when a [Proxy] has its place. The port stays
	// the same: servers tell one another the port that they listen on and add the
	// address that they have seen, so that they find the proxy again.
	behind = "127.0.0.2"
)

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// FreeBasePort finds a base of which no port is taken that a cluster of so many hosts
// needs. It looks below the ports that systems give to connections, so that they stay
// free while a host is down.
func FreeBasePort(hosts int) (int, error) {
	const from, to = 10_000, 32_000
	var last error
	for range 100 {
		base := from + rand.IntN(to-from)
		if last = portsFree(base, hosts); last == nil {
			return base, nil
		}
	}
	return 0, fmt.Errorf("find free ports between %d and %d: %w", from, to, last)
}

func portsFree(base, hosts int) error {
	for _, part := range []int{0, routePorts, httpPorts} {
		for i := 1; i <= hosts; i++ {
			if err := portFree(address(base + part + i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func portFree(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

// FreeAddresses finds so many loopback addresses that nobody listens on.
func FreeAddresses(n int) ([]string, error) {
	var held []net.Listener
	var found []string
	var errs []error
	for range n {
		l, err := net.Listen("tcp", address(0))
		if err != nil {
			errs = append(errs, err)
			break
		}
		held, found = append(held, l), append(found, l.Addr().String())
	}
	for _, l := range held {
		errs = append(errs, l.Close())
	}
	return found, errors.Join(errs...)
}
