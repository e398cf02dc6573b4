package buckets

import (
	"errors"
	"fmt"
)

// ErrUnopenable is what every [UnopenableError] is.
var ErrUnopenable = errors.New("document store cannot be opened")

// An UnopenableError is returned by [Open] when the files of a store are so
// damaged that it cannot be opened: its folder can only be set aside, and the
// documents fetched from other hosts. That another process has the store open, a
// newer format, missing rights and a full disk are errors of other types.
type UnopenableError struct {
	Dir string
	Err error
}

func (e *UnopenableError) Error() string {
	return fmt.Sprintf("open document store in %s: %v", e.Dir, e.Err)
}
func (e *UnopenableError) Unwrap() error        { return e.Err }
func (e *UnopenableError) Is(target error) bool { return target == ErrUnopenable }

// ErrLostReplica is the error of [Store.Replica] when the row that says where the
// replica stands cannot be read. The rest of the store is not concerned;
// [Store.Renew] begins the replica anew.
var ErrLostReplica = errors.New("the store has lost where the replica stands")

// Renew returns the replica of a stripe although [Store.Replica] fails with
// [ErrLostReplica]: it stands at the beginning of its log, durably, over the
// documents that are there. It must be healed as one that has fallen off its log.
func (s *Store) Renew(stripe string, birth uint32) (*Replica, error) { return nil, errNotBuilt }
