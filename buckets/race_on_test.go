//go:build race

package buckets

// raced: the race detector watches, and everything takes ten times as long. Tests that
// draw their cases draw fewer then; without it they draw more.
const raced = true
