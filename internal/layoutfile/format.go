package layoutfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"trireme/internal/layout"
)

// Format writes a layout for people and for [Parse], which reads the same layout back
// if it is valid.
func Format(l layout.Layout) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# Where documents live: bucket -> partition -> stripe -> hosts. docs/layout.md explains it.
# Every host reads this file. A changed one needs a higher version, here and in the last
# line. `+"`trireme layout validate --follows OLD NEW`"+` says whether a running cluster takes it.
version: %d

# Where clients (nats), the other hosts (route), and load balancers and people (http)
# reach each host; adama is the address of the Adama node beside it, if there is one.
hosts: [
`, l.Version)
	for _, h := range l.Hosts {
		fmt.Fprintf(&b, "  { name: %s", quoted(h.Name))
		for _, a := range []struct{ key, value string }{{"nats", h.NATS}, {"route", h.Route}, {"http", h.HTTP}, {"adama", h.Adama}} {
			if a.value != "" {
				fmt.Fprintf(&b, ", %s: %q", a.key, a.value)
			}
		}
		b.WriteString(" }\n")
	}
	b.WriteString(`]

# One replicated log each. The hosts stand in their preferred order, the owner first;
# only that order may change. A new stripe takes a birth above all before.
stripes: [
`)
	for _, s := range l.Stripes {
		names := make([]string, 0, len(s.Hosts))
		for _, h := range s.Hosts {
			names = append(names, quoted(h))
		}
		fmt.Fprintf(&b, "  { name: %s, birth: %d, replicas: %d, hosts: [%s] }\n", quoted(s.Name), s.Birth, s.Replicas, strings.Join(names, ", "))
	}
	b.WriteString(`]

# Ranges of buckets, 0 to 16383. A bucket stays on its stripe.
partitions: [
`)
	for _, p := range l.Partitions {
		fmt.Fprintf(&b, "  { id: %d, buckets: \"%d-%d\", stripe: %s }\n", uint32(p.ID), p.First, p.Last, quoted(p.Stripe))
	}
	fmt.Fprintf(&b, `]

# The last line repeats the version: without it the file is half-written.
end: %d
`, l.Version)
	return []byte(b.String())
}

var bare = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// quoted puts a name into quotes unless it is a text without them.
func quoted(name string) string {
	if bare.MatchString(name) && !slices.Contains([]string{"true", "yes", "on", "false", "no", "off", "include"}, name) {
		return name
	}
	return fmt.Sprintf("%q", name)
}
