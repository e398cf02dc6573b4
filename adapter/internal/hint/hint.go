// Package hint is how a host tells a client where a document's requests go
// directly: the header that it puts on the answer to a request which it had to pass
// on. It does no IO.
package hint

import (
	"fmt"
	"strconv"
	"strings"

	"trireme/internal/layout"
)

// Header carries the hint.
const Header = "Trireme-Partition"

// Format writes the hint of a partition: "07 1792-2047".
func Format(p layout.Partition) string {
	return p.ID.String() + " " + strconv.Itoa(int(p.First)) + "-" + strconv.Itoa(int(p.Last))
}

// Parse reads what [Format] writes, and nothing else. The partition has no stripe.
func Parse(s string) (layout.Partition, error) {
	id, buckets, _ := strings.Cut(s, " ")
	first, last, _ := strings.Cut(buckets, "-")
	var p layout.Partition
	var err error
	if p.ID, err = layout.ParsePartitionID(id); err != nil {
		return layout.Partition{}, fmt.Errorf("hint %.64q: %w", s, err)
	}
	from, err1 := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	p.First, p.Last = layout.Bucket(from), layout.Bucket(to)
	if err1 != nil || err2 != nil || from > to || to >= layout.Buckets || Format(p) != s {
		return layout.Partition{}, fmt.Errorf("hint %.64q: want a partition and its range of buckets, as in 07 1792-2047", s)
	}
	return p, nil
}
