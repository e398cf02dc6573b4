package plan

import (
	"fmt"
	"slices"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/position"
)

// Buckets compares buckets, which both sides list in the same order: those of one
// partition, or fewer. look are those whose documents have to be compared; lag those
// that differ but cannot be compared yet. clean is the position up to which the sides
// are equal, when all of the buckets are, and otherwise zero. It fails when the lists
// are not of the same buckets.
//
// A healing side has no lag of its own: what it differs in is looked at.
func Buckets(mine, theirs Side, m, t []BucketState) (look, lag []layout.Bucket, clean position.Position, err error) {
	if len(m) != len(t) {
		return nil, nil, clean, fmt.Errorf("%d buckets of %s against %d of %s: ask for the same partitions", len(m), mine.Host, len(t), theirs.Host)
	}
	for i := range m {
		a, b := &m[i], &t[i]
		switch {
		case a.Bucket != b.Bucket:
			return nil, nil, clean, fmt.Errorf("bucket %v of %s against %v of %s: ask for the same partitions", a.Bucket, mine.Host, b.Bucket, theirs.Host)
		case a.Digest == b.Digest:
		case mine.behind(b.Position) || theirs.behind(a.Position):
			lag = append(lag, a.Bucket)
		default:
			look = append(look, a.Bucket)
		}
	}
	if len(look)+len(lag) == 0 {
		clean = earlier(mine.Applied, theirs.Applied)
	}
	return look, lag, clean, nil
}

// behind: the log will bring this side what was changed at p.
func (s *Side) behind(p position.Position) bool { return !s.Heals && s.Applied.Less(p) }

// Documents compares the documents of a bucket, in any order, each listed once by a
// side. What is equal on both sides is not in the result, which is in the order of
// the names.
func Documents(mine, theirs Side, m, t []Doc) []Finding {
	m, t = inOrder(m), inOrder(t)
	var found []Finding
	for len(m) > 0 || len(t) > 0 {
		var a, b Doc
		switch first := compareFirst(m, t); {
		case first < 0:
			a, m = m[0], m[1:]
			b.Key = a.Key
		case first > 0:
			b, t = t[0], t[1:]
			a.Key = b.Key
		default:
			a, b, m, t = m[0], t[0], m[1:], t[1:]
		}
		if f := Document(mine, theirs, a, b); f.Verdict != Same {
			found = append(found, f)
		}
	}
	return found
}

func inOrder(docs []Doc) []Doc {
	byName := func(a, b Doc) int { return a.Key.Compare(b.Key) }
	if slices.IsSortedFunc(docs, byName) {
		return docs
	}
	return slices.SortedFunc(slices.Values(docs), byName)
}

// compareFirst orders the first names of two lists, one of which is not empty.
func compareFirst(m, t []Doc) int {
	switch {
	case len(t) == 0:
		return -1
	case len(m) == 0:
		return 1
	}
	return m[0].Key.Compare(t[0].Key)
}

// Document compares one document; one that a side does not have is a Doc with only a
// Key, or nothing, in it. The result may be [Same].
//
// Comparing the other way round gives the mirror image: [Missing] against [Theirs],
// and [Same], [Lag] and [Divergence] on both sides. [Gone] and [Corruption] say what is
// wrong here, whatever is wrong there. A side that heals is [Missing] what the other one has
// damaged, unless it knows that it has as much: [Decide] says who else may have it.
func Document(mine, theirs Side, m, t Doc) Finding {
	if m.Key == (contract.Key{}) {
		m.Key = t.Key
	}
	t.Key = m.Key
	f := Finding{Mine: m, Theirs: t}
	switch {
	case m.Damaged != "":
		f.Verdict, f.Rule = Corruption, damagedHere
	case t.Damaged != "" && mine.Heals && (t.Position.IsZero() || m.Position.Less(t.Position) || m.Position == t.Position && m.Digest != t.Digest):
		f.Verdict, f.Rule = Missing, damagedSource
	case t.Damaged != "":
		f.Verdict, f.Rule = Theirs, damagedThere
	case m.Position == t.Position && (m.Absent() || m.Digest == t.Digest):
		f.Verdict, f.Rule = Same, equalCopies
	case m.Position == t.Position:
		f.Verdict, f.Rule = Divergence, sameElsewise
	case m.Position.Less(t.Position):
		f.Verdict, f.Rule = lacks(&mine, &theirs, &m, &t)
	default:
		f.Verdict, f.Rule = has(&mine, &theirs, &m, &t)
	}
	return f
}

// lacks judges a copy here that is older than theirs, or absent.
func lacks(mine, theirs *Side, m, t *Doc) (Verdict, string) {
	if mine.behind(t.Position) {
		return Lag, lagHere
	}
	if m.Absent() {
		switch v, _ := forgotten(theirs, mine, t); v {
		case Lag:
			return Lag, lagRemembers
		case Gone:
			return Theirs, goneThere
		}
	}
	if !mine.Heals && !continues(t, m) {
		return Divergence, forked
	}
	return Missing, missingHere
}

// has judges a copy here that is newer than theirs, or that they have none of.
func has(mine, theirs *Side, m, t *Doc) (Verdict, string) {
	if theirs.behind(m.Position) {
		return Lag, lagThere
	}
	if t.Absent() {
		if v, rule := forgotten(mine, theirs, m); v != 0 {
			return v, rule
		}
	}
	if !continues(m, t) {
		return Divergence, forked
	}
	return Theirs, missingThere
}

// forgotten judges a copy that the other member has nothing of, although it has
// applied the copy's position: what to its holder? It is [Gone] or [Lag] where the
// other one may have forgotten the document's deletion, otherwise nothing.
//
// A tombstone is forgotten by everybody at one record of the log, and only when every
// member was found to know the deletion. So a LIVE copy of a holder that has applied the
// horizon was not deleted, and the other one has lost it.
func forgotten(holder, other *Side, d *Doc) (Verdict, string) {
	horizon := later(holder.Horizon, other.Horizon)
	unaware := other.Horizon // up to which the holder might not know of a deletion
	switch {
	case horizon.Less(d.Position):
		return 0, ""
	case !d.Live && !holder.Horizon.Less(d.Position):
		return Gone, goneHere
	case d.Live && !holder.Applied.Less(unaware):
		return 0, ""
	case holder.Heals:
		return Gone, goneBelow
	}
	return Lag, lagForgets
}

// continues reports whether a newer copy can have come out of an older one, as far as
// can be told from their states. Within an incarnation the head only grows, and with it
// the chain; a new incarnation begins after the older copy's position.
func continues(newer, older *Doc) bool {
	switch {
	case older.Absent() || !newer.Live:
		return true
	case !older.Live || newer.Incarnation != older.Incarnation:
		return older.Position.Less(newer.Incarnation)
	case newer.Head == older.Head:
		return newer.Chain == older.Chain || newer.Chain.IsZero() || older.Chain.IsZero()
	}
	return newer.Head > older.Head
}
