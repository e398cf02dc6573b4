//go:build !trireme_unchecked

package controls

// Checks is that a record that does not continue the log, or is of an older epoch, is skipped.
const Checks = true
