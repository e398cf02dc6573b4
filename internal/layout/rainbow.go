package layout

import "slices"

// rainbow deals the places of stripes to n hosts: for each stripe its members, the
// preferred owner first. It works in rounds.
//
// A full round has one stripe led by each host; the members stand at the same
// distances from their leader, so that a round gives every host equally many places.
// The first distance differs from round to round, and so does the successor.
//
// What is left over after the full rounds is dealt like cards: blocks of consecutive
// hosts, so that no host gets more than one place above another. The block starts are
// all different, so no host leads two of them; the successor is the next host, and
// the full rounds take that distance last.
func rainbow(n, stripes, replicas int) [][]int {
	rounds, rest := stripes/n, stripes%n
	distances := make([]int, n-1)
	for i := range distances {
		distances[i] = i + 1
		if rest > 0 {
			distances[i] = (i+1)%(n-1) + 1
		}
	}
	all := make([][]int, 0, stripes)
	for round := range rounds {
		for leader := range n {
			members := []int{leader}
			for i := range replicas - 1 {
				members = append(members, (leader+distances[(round+i)%(n-1)])%n)
			}
			all = append(all, members)
		}
	}
	cycle := n / gcd(n, replicas) // blocks after which the starts would repeat
	for block := range rest {
		var members []int
		for i := range replicas {
			members = append(members, (block*replicas+block/cycle+i)%n)
		}
		all = append(all, members)
	}
	return all
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// spread reorders the members behind each leader until no change makes the load of
// the survivors of its death more even. What one leader's stripes do has no effect on
// the death of another.
func spread(n int, members [][]int, loads []int) {
	leads := make([]int, n)
	of := make([][]int, n) // the stripes of each leader
	for i, m := range members {
		leads[m[0]] += loads[i]
		of[m[0]] = append(of[m[0]], i)
	}
	for leader := range n {
		d := death{stripes: of[leader], members: members, loads: loads, survivors: slices.Clone(leads), uses: make([]int, n)}
		for _, i := range d.stripes {
			if len(members[i]) > 1 {
				d.survivors[members[i][1]] += loads[i]
				d.uses[members[i][1]]++
			}
		}
		for d.move() || d.swap() {
			continue
		}
	}
}

// A death is where the load of one leader's stripes goes.
type death struct {
	stripes   []int
	members   [][]int
	loads     []int
	survivors []int // load of each host after it
	uses      []int // how often each host is successor
}

// move gives one stripe another of its members as successor, if that makes the load
// more even, and the successors not less different.
func (d *death) move() bool {
	for _, i := range d.stripes {
		m := d.members[i]
		for k := 2; k < len(m); k++ {
			from, to := m[1], m[k]
			if d.uses[to] < d.uses[from] && d.survivors[from]-d.survivors[to] > d.loads[i] {
				d.put(i, k)
				return true
			}
		}
	}
	return false
}

// swap exchanges the successors of two stripes, if that makes the load more even.
func (d *death) swap() bool {
	for _, i := range d.stripes {
		for _, j := range d.stripes {
			more := d.loads[i] - d.loads[j]
			if more <= 0 || len(d.members[i]) < 2 {
				continue
			}
			from, to := d.members[i][1], d.members[j][1]
			ki, kj := slices.Index(d.members[i], to), slices.Index(d.members[j], from)
			if ki > 1 && kj > 1 && d.survivors[from]-d.survivors[to] > more {
				d.put(i, ki)
				d.put(j, kj)
				return true
			}
		}
	}
	return false
}

// put makes the member at place k the successor of stripe i.
func (d *death) put(i, k int) {
	m := d.members[i]
	d.survivors[m[1]] -= d.loads[i]
	d.uses[m[1]]--
	m[1], m[k] = m[k], m[1]
	d.survivors[m[1]] += d.loads[i]
	d.uses[m[1]]++
}
