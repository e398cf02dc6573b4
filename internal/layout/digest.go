package layout

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"trireme/internal/digest"
)

// Digest names all that the layout says, in 32 hexadecimal digits. Two layouts have
// the same one exactly when they say the same: how a file is written, and in which
// order it lists hosts and stripes, makes no difference.
func (l Layout) Digest() string {
	sum := digest.Fingerprint([]byte(l.canonical()))
	return hex.EncodeToString(sum[:])
}

// canonical is what is digested; see docs/layout.md.
func (l Layout) canonical() string {
	var b strings.Builder
	fmt.Fprintf(&b, "trireme layout v1\nversion %d\n", l.Version)
	hosts := slices.SortedStableFunc(slices.Values(l.Hosts), func(x, y Host) int { return cmp.Compare(x.Name, y.Name) })
	for _, h := range hosts {
		fmt.Fprintf(&b, "host %q %q %q %q %q\n", h.Name, h.NATS, h.Route, h.HTTP, h.Adama)
	}
	stripes := slices.SortedStableFunc(slices.Values(l.Stripes), func(x, y Stripe) int { return cmp.Compare(x.Birth, y.Birth) })
	for _, s := range stripes {
		fmt.Fprintf(&b, "stripe %q %d %d %q\n", s.Name, s.Birth, s.Replicas, s.Hosts)
	}
	for _, p := range l.Partitions {
		fmt.Fprintf(&b, "partition %d %d %d %q\n", uint32(p.ID), p.First, p.Last, p.Stripe)
	}
	return b.String()
}
