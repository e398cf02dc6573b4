package main

import (
	"encoding/json"
	"testing"
)

func TestChangesHaveTheirSize(t *testing.T) {
	x := newTexts(7)
	seen := map[string]bool{}
	for seq := int32(2); seq < 3000; seq++ {
		redo, undo := x.update(seq)
		if len(redo)+len(undo) != changeBytes || !json.Valid([]byte(redo)) || !json.Valid([]byte(undo)) {
			t.Fatalf("seq %d: %q %q: want %d bytes of JSON", seq, redo, undo, changeBytes)
		}
		if text := x.take(changeBytes); len(text) != changeBytes || seen[text] {
			t.Fatalf("seq %d: %d bytes, seen before %v", seq, len(text), seen[text])
		} else {
			seen[text] = true
		}
	}
}
