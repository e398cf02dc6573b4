package buckets

import (
	"fmt"

	"trireme/internal/contract"
	"trireme/internal/position"
)

// EventKind says what an [Event] is about.
type EventKind uint8

// The kinds of event.
const (
	// RecordSkipped: a record of the log was not applied, because it is not one,
	// its chain does not fit, or its epoch is past. Every replica skips it alike.
	RecordSkipped EventKind = iota + 1
	// ChangeSkipped: a change in a good record was not applied, because the
	// document's state refuses it. Every replica skips it alike.
	ChangeSkipped
	// RowDamaged: a row of this store failed its checksum.
	RowDamaged
	// RowMended: a row that follows from others did not fit them and was put right.
	RowMended
	// FileUnreadable: a file of this store was found damaged, in part or in whole.
	FileUnreadable
	// RowsLost: a range of rows was cut out of the store, because the database could
	// not read all of it.
	RowsLost
)

var kindNames = [...]string{
	RecordSkipped: "record skipped", ChangeSkipped: "change skipped", RowDamaged: "row damaged", RowMended: "row mended",
	FileUnreadable: "file unreadable", RowsLost: "rows lost",
}

func (k EventKind) String() string { return kindNames[k] }

// An Event is something that a person should know. It prints itself.
type Event struct {
	Kind     EventKind
	Position position.Position // of the record, when there is one
	Key      contract.Key      // of the document, when there is one
	Err      error             // why
}

func (e Event) String() string {
	return fmt.Sprintf("%v at %v %s/%s: %v", e.Kind, e.Position, e.Key.Space, e.Key.Key, e.Err)
}
