// Package merge folds JSON texts in Adama's dialect: the first text is the
// document, every further one a merge patch applied to it.
//
//	out, err := merge.Fold([]byte(`{"a":1,"b":2}`), []byte(`{"a":null}`))
//	// out is {"b":2,"a":null}
//
// # Merging
//
// The rule is RFC 7396 with nulls kept. An object over an object merges member
// by member: a key that is there keeps its place, a new key goes to the end,
// and key:null moves the key to the end of its object, with the value null. An
// object over anything else merges onto {}. Whatever is not an object (arrays
// too) replaces what it meets as a whole. A fold of one text is that text,
// byte for byte and unread.
//
// Folding is incremental from the left: Fold(Fold(a, b), c) is Fold(a, b, c),
// byte for byte, so a merged text can be kept and folded with later patches.
// It is not associative: patches must not be folded among themselves first,
// because {"x":1} then {"x":{"y":2}} forgets what x held before and their fold
// {"x":{"y":2}} does not.
//
// # Reading
//
// Commas and colons are blanks, so they may be missing or doubled anywhere.
// Strings may hold raw control characters and bytes that are not UTF-8. Of
// equal keys in one object the last value wins, in the place of the first.
// Numbers may carry a plus, leading zeros, or a point without digits on one
// side; NaN, Infinity and -Infinity are numbers. Anything else is
// [ErrUnreadable]: other bare words, a key that is not a string or has no
// value, a missing quote or bracket, text after the value, more than 10,000
// levels.
//
// Strings, numbers and arrays are tokens, copied as they were written. Keys
// are decoded only to be compared: "\u0061" is "a", a surrogate pair is its
// character, a lone surrogate is itself (WTF-8), and a backslash that starts
// no escape of JSON is a backslash.
//
// # Writing
//
// A merged text has no blanks and exactly the commas and colons of JSON,
// inside arrays too. Tokens differ from what was read only in \/, written as /
// because Adama misreads it. Merging valid JSON gives valid JSON.
//
// # Why not a library
//
// evanphx/json-patch, the usual choice in Go, implements RFC 7396 on
// encoding/json. It refuses texts that are not strict JSON. Its MergePatch
// removes nulls; its MergeMergePatches keeps a null in its place, and still
// removes those inside new members. It adds new keys in the order of a Go map.
// Here every replica has to make the same bytes, and a lone surrogate, a raw
// line break or a big number has to come out as it went in.
package merge
