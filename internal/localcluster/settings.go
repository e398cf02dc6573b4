package localcluster

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// Configure adds settings to the host's configuration; they hold from its next start.
// A block replaces the one of the same name.
func (h *Host) Configure(settings string) error {
	if settings == "" {
		return nil
	}
	f, err := os.OpenFile(h.File, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + settings + "\n")
	return errors.Join(err, f.Close())
}

// Set sets one key of a block in the host's configuration and leaves the others; it
// holds from the next start.
func (h *Host) Set(block, key, value string) error {
	text, err := os.ReadFile(h.File)
	if err != nil {
		return err
	}
	changed, err := setIn(string(text), block, key, value)
	if err != nil {
		return fmt.Errorf("%s: %w", h.File, err)
	}
	return os.WriteFile(h.File, []byte(changed), 0o600)
}

// setIn appends to the last block of the name, where the last value of a key counts.
func setIn(text, block, key, value string) (string, error) {
	line := fmt.Sprintf("\n  %s: %s\n", key, value)
	starts := regexp.MustCompile(`(?m)^`+block+`[ \t:=]*\{`).FindAllStringIndex(text, -1)
	if len(starts) == 0 {
		return text + "\n" + block + " {" + line + "}\n", nil
	}
	depth, at := 1, starts[len(starts)-1][1]
	for i, c := range text[at:] {
		switch c {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			return strings.TrimRight(text[:at+i], " \t\n,;") + line + text[at+i:], nil
		}
	}
	return "", fmt.Errorf("the block %s does not end", block)
}
