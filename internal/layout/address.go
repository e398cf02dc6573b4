package layout

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// adamaLimit bounds the address that is passed on.
const adamaLimit = 255

// checkAddress says what is wrong with an address that other hosts reach, or returns
// nil: host:port with a name or an IP address, as in 10.0.0.1:4222 or [::1]:4222.
func checkAddress(s string) error {
	const remedy = "write host:port, as in 10.0.0.1:4222"
	if s == "" {
		return fmt.Errorf("is empty; %s", remedy)
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return fmt.Errorf("%q has no port; %s", s, remedy)
	}
	host, port := s[:i], s[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q: port %q is not between 1 and 65535; %s", s, port, remedy)
	}
	if err := checkHostname(host); err != nil {
		return fmt.Errorf("%q: %w; %s", s, err, remedy)
	}
	return nil
}

func checkHostname(host string) error {
	bare := host
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		bare = host[1 : len(host)-1]
	}
	ip, err := netip.ParseAddr(bare)
	switch {
	case err == nil && ip.IsUnspecified():
		return fmt.Errorf("%s is every address of a machine, and none that others reach it at", bare)
	case err == nil && (ip.Is6() || ip.Zone() != "") != (bare != host):
		return errors.New("brackets go around an IPv6 address, and around nothing else")
	case err == nil:
		return nil
	case host == "":
		return errors.New("the host is missing")
	}
	if i := strings.IndexFunc(host, func(r rune) bool { return !nameRune(r) && r != '.' }); i >= 0 {
		return fmt.Errorf("%q is in no name of a machine", host[i:])
	}
	return nil
}

// checkAdama keeps out what a configuration or a header would choke on; what an
// address of Adama looks like is not ours to say.
func checkAdama(s string) error {
	if len(s) > adamaLimit {
		return fmt.Errorf("has %d bytes; at most %d fit", len(s), adamaLimit)
	}
	bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'\\$", r) }
	if i := strings.IndexFunc(s, bad); i >= 0 {
		return fmt.Errorf("%q: %q is in no address; use printable ASCII without blanks, quotes, backslashes and $", s, s[i:])
	}
	return nil
}
