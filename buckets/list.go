package buckets

import (
	"github.com/cockroachdb/pebble/v2"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// Keys lists live documents in the order of their names, at most limit of them
// that come after the given key, in the buckets that accept takes (all when
// nil). Fewer than limit means that the list is complete.
func (s *Store) Keys(after contract.Key, limit int, accept func(layout.Bucket) bool) ([]contract.Key, error) {
	return s.names(tableName, after, limit, accept)
}

// Marked lists documents that are marked for deletion, like [Store.Keys].
func (s *Store) Marked(after contract.Key, limit int, accept func(layout.Bucket) bool) ([]contract.Key, error) {
	return s.names(tableMarked, after, limit, accept)
}

func (s *Store) names(table byte, after contract.Key, limit int, accept func(layout.Bucket) bool) ([]contract.Key, error) {
	marks := s.marks() // BEFORE reading
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
	if err != nil {
		return nil, refusal(damage(err))
	}
	defer it.Close()
	list := []contract.Key{}
	ok := it.First()
	if after != (contract.Key{}) {
		ok = it.SeekGE(append(nameKey(table, after), 0))
	}
	for ; ok && len(list) < limit; ok = it.Next() {
		k, _, err := parseNames(it.Key()[1:])
		if err != nil {
			return nil, refusal(err)
		}
		if _, err := row(it); err != nil {
			return nil, s.told(k, err)
		}
		if accept == nil || accept(layout.BucketOf(k.Space, k.Key)) {
			list = append(list, k)
		}
	}
	if err := it.Error(); err != nil {
		return nil, refusal(damage(err))
	}
	return list, refusal(s.unlisted(accept, marks))
}
