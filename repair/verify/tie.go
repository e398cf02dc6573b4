package verify

import (
	"slices"

	"trireme/internal/digest"
	"trireme/internal/layout"
)

// A tied bucket knows which members were found to keep the same of it. It begins with
// every member on its own; found equal, two are tied, and with them those that they were
// tied to.
type tied struct {
	bucket layout.Bucket
	group  [MaxMembers]uint8 // of each member
	parts  int               // groups; 1 when all members are tied together

	looks   int  // times that its digests differed and none of its documents did
	lags    int  // passes in which the log kept it from being compared
	differs bool // it is known to differ, and not compared any more

	// seen are the digests that each member has told of, past the fixed position, since
	// the log kept the members from being compared.
	seen [MaxMembers][]digest.Digest
}

// mostSeen bounds what is kept of a member's earlier digests.
const mostSeen = 64

func newTied(b layout.Bucket, members int) tied {
	t := tied{bucket: b, parts: members}
	for i := range t.group {
		t.group[i] = uint8(i)
	}
	return t
}

func (t *tied) together(a, b int) bool { return t.group[a] == t.group[b] }

// tie notes that two members were found equal.
func (t *tied) tie(a, b int) {
	from, to := t.group[a], t.group[b]
	if from == to {
		return
	}
	for i := range t.group {
		if t.group[i] == from {
			t.group[i] = to
		}
	}
	if t.parts--; t.parts == 1 {
		t.forget()
	}
}

// apart tells whether the member is not among the most that were found equal. One that
// has nobody to be equal to is not.
func (t *tied) apart(m, members int) bool {
	var size [MaxMembers]int
	most := t.group[0]
	for o := range members {
		size[t.group[o]]++
	}
	for o := range members {
		if size[t.group[o]] > size[most] {
			most = t.group[o]
		}
	}
	return t.group[m] != most || size[most] == 1 && members > 1
}

// note keeps what a member has told, and ties it to those that have told the same.
func (t *tied) note(m, members int, d digest.Digest) {
	if n := len(t.seen[m]); n == 0 || t.seen[m][n-1] != d {
		if n == mostSeen {
			t.seen[m] = slices.Delete(t.seen[m], 0, 1)
		}
		t.seen[m] = append(t.seen[m], d)
	}
	for o := range members {
		if o != m && !t.together(o, m) && slices.Contains(t.seen[o], d) {
			t.tie(m, o)
		}
	}
}

func (t *tied) forget() { t.seen = [MaxMembers][]digest.Digest{} }
