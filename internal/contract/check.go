package contract

import (
	"slices"
	"strconv"
	"unicode/utf8"
)

// CheckName refuses a space or key that no document can have.
func CheckName(field, value string) error {
	switch {
	case value == "":
		return Errorf(Malformed, "%s is missing or empty: send a text of 1 to %d bytes", field, MaxName)
	case len(value) > MaxName:
		return Errorf(TooLarge, "%s has %d bytes, the limit is %d", field, len(value), MaxName)
	case !utf8.ValidString(value):
		return Errorf(Malformed, "%s %q is not valid UTF-8", field, value)
	}
	return nil
}

// CheckKey refuses a key that no document can have.
func CheckKey(k Key) error {
	if err := CheckName("space", k.Space); err != nil {
		return err
	}
	return CheckName("key", k.Key)
}

// CheckHeader refuses a request id or writer that is not 1 to [MaxHeader]
// printable ASCII characters. An absent one is "".
func CheckHeader(name, value string) error {
	if len(value) > MaxHeader {
		return Errorf(Malformed, "header %s has %d characters, the limit is %d", name, len(value), MaxHeader)
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return Errorf(Malformed, "header %s %q: want printable ASCII characters", name, value)
		}
	}
	return nil
}

// CheckUpdate refuses an update that cannot be stored. It does not look at the
// seqs and never reads the texts.
func CheckUpdate(field string, u *Update) error {
	if !slices.Contains(updateTypes, u.UpdateType) {
		return Errorf(Malformed, "%s.update_type %q is unknown: want one of %v", field, u.UpdateType, updateTypes)
	}
	if n := u.TextSize(); n > MaxEntry {
		return Errorf(TooLarge, "%s: request, redo and undo have %d bytes together, the limit is %d", field, n, MaxEntry)
	}
	return CheckWho(field+".who", u.Who)
}

// CheckWho refuses an agent or authority over [MaxName]. Nobody is fine, and so
// are empty names.
func CheckWho(field string, w *Who) error {
	if w == nil {
		return nil
	}
	if n := max(len(w.Agent), len(w.Authority)); n > MaxName {
		return Errorf(TooLarge, "%s: agent or authority has %d bytes, the limit is %d", field, n, MaxName)
	}
	return nil
}

var updateTypes = UpdateTypes()

// CheckRanges refuses a batch that is empty, or has a range that is reversed or
// not next to the one before. Every replica decides by it when it applies a
// change, so it never changes; limits are checked before, by [CheckPatches].
func CheckRanges(patches []Update) error {
	if len(patches) == 0 {
		return Errorf(Malformed, "patches is empty: send at least one update")
	}
	for i := range patches {
		u := &patches[i]
		if u.SeqEnd < u.SeqBegin {
			return Errorf(Malformed, "patches[%d] ends at seq_end %d, before its seq_begin %d", i, u.SeqEnd, u.SeqBegin)
		}
		if i > 0 && int64(u.SeqBegin) != int64(patches[i-1].SeqEnd)+1 {
			return Errorf(Malformed, "patches[%d].seq_begin is %d, but patches[%d] ends at %d: a batch has no gaps and no overlaps", i, u.SeqBegin, i-1, patches[i-1].SeqEnd)
		}
	}
	return nil
}

// CheckPatches refuses a batch that is wrong in itself, whatever the document
// is: its ranges, its updates, its size.
func CheckPatches(patches []Update) error {
	if err := CheckRanges(patches); err != nil {
		return err
	}
	total := 0
	for i := range patches {
		if err := CheckUpdate("patches["+strconv.Itoa(i)+"]", &patches[i]); err != nil {
			return err
		}
		total += patches[i].LogSize()
	}
	if total > MaxDocument {
		return Errorf(TooLarge, "the patches take %d bytes together, the limit is %d: send them in several batches", total, MaxDocument)
	}
	return nil
}

// CheckDocument refuses a snapshot or recover text over [MaxDocument].
func CheckDocument(field, text string) error {
	if len(text) > MaxDocument {
		return Errorf(TooLarge, "%s has %d bytes, the limit is %d", field, len(text), MaxDocument)
	}
	return nil
}
