package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"trireme/internal/digest"
)

// Every file of this package is JSON of one form, with a version and a checksum.
const fileVersion = 1

type sealed[T any] struct {
	Version int    `json:"version"`
	Body    T      `json:"body"`
	Check   string `json:"check"` // of the body as it is written compactly
}

var errDamaged = errors.New("its content does not fit its checksum")

func seal[T any](body T) ([]byte, error) {
	compact, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(sealed[T]{fileVersion, body, fmt.Sprintf("%016x", digest.Checksum(compact))}, "", "  ")
	return append(text, '\n'), err
}

// unseal accepts exactly what seal has written.
func unseal[T any](text []byte) (body T, err error) {
	var none T
	var version struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(text, &version) == nil && version.Version > fileVersion {
		return none, fmt.Errorf("it has version %d, this program reads %d: run a newer program", version.Version, fileVersion)
	}
	var file sealed[T]
	if err := json.Unmarshal(text, &file); err != nil {
		return none, fmt.Errorf("%w: %w", errDamaged, err)
	}
	again, err := seal(file.Body)
	if err != nil || !bytes.Equal(again, text) {
		return none, errDamaged
	}
	return file.Body, nil
}
