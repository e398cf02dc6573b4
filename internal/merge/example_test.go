package merge_test

import (
	"errors"
	"fmt"

	"trireme/internal/merge"
)

func ExampleFold() {
	out, err := merge.Fold(
		[]byte(`{"a":1,"b":{"c":2}}`),
		[]byte(`{"a":null,"b":{"d":"x"}}`),
	)
	fmt.Println(string(out), err)

	_, err = merge.Fold([]byte(`{}`), []byte(`{"a":1} and more`))
	fmt.Println(errors.Is(err, merge.ErrUnreadable))
	fmt.Println(err)
	// Output:
	// {"b":{"c":2,"d":"x"},"a":null} <nil>
	// true
	// merge: text is not readable as JSON: text 1 (from 0), byte 8: the text goes on after its value
}
