package service

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"trireme/internal/contract"
)

// A naive listing of many hosts: stripes move between them, keys come and go, and
// each page asks whoever has a stripe at that moment.
func TestPagesAcrossHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const stripes = 4
		limit := rapid.IntRange(1, 6).Draw(t, "page")
		keyOf := rapid.Custom(func(t *rapid.T) contract.Key {
			return contract.Key{Space: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "space"), Key: fmt.Sprint(rapid.IntRange(1, 40).Draw(t, "key"))}
		})
		stripeOf := func(k contract.Key) int { return int(k.Key[len(k.Key)-1]+k.Space[0]) % stripes }
		there, always := map[contract.Key]bool{}, map[contract.Key]bool{}
		for _, k := range rapid.SliceOf(keyOf).Draw(t, "keys") {
			there[k], always[k] = true, true
		}
		// list is what a host would answer for some of the stripes.
		list := func(of []int, after contract.Key) section {
			var s section
			for k := range there {
				if slices.Contains(of, stripeOf(k)) && k.Compare(after) > 0 {
					s.keys = append(s.keys, k)
				}
			}
			slices.SortFunc(s.keys, contract.Key.Compare)
			if len(s.keys) >= limit { // as a store: a full page may be the last
				s.keys, s.more = s.keys[:limit], true
			}
			return s
		}
		var listed []contract.Key
		for after, more := (contract.Key{}), true; more; {
			for _, k := range rapid.SliceOfN(keyOf, 0, 4).Draw(t, "come and go") {
				there[k] = !there[k]
				if !there[k] {
					delete(there, k)
				}
				delete(always, k)
			}
			hosts := make([][]int, 3)
			for stripe := range stripes {
				at := rapid.IntRange(0, len(hosts)-1).Draw(t, "owner")
				hosts[at] = append(hosts[at], stripe)
			}
			var sections []section
			for _, of := range hosts {
				sections = append(sections, list(of, after))
			}
			var page []contract.Key
			if page, more = join(sections, limit); len(page) > limit || more && len(page) == 0 {
				t.Fatalf("a page of %d keys, more: %v", len(page), more)
			}
			listed = append(listed, page...)
			if len(page) > 0 {
				after = page[len(page)-1]
			}
		}
		for i := 1; i < len(listed); i++ {
			if listed[i-1].Compare(listed[i]) >= 0 {
				t.Fatalf("%v comes after %v", listed[i], listed[i-1])
			}
		}
		for k := range always {
			if !slices.Contains(listed, k) {
				t.Fatalf("%v was there all the time and is not listed in %v", k, listed)
			}
		}
	})
}
