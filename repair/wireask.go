package repair

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// The bodies of requests, JSON. What names a stripe may be left out where the rest of
// the request tells.
type (
	rootsAsk struct {
		asking
		Stripes    []string `json:"stripes,omitempty"`   // all of the host's when empty
		Partitions bool     `json:"partitions,omitzero"` // the roots of their partitions, too
	}
	standAsk struct {
		asking
		stripeAsked
	}
	bucketsAsk struct {
		asking
		stripeAsked
		Partitions []layout.PartitionID `json:"partitions"` // all of one stripe
	}
	indexAsk struct {
		asking
		stripeAsked
		Bucket layout.Bucket `json:"bucket"`
		After  *contract.Key `json:"after,omitempty"` // go on behind this one
		Limit  int           `json:"limit,omitzero"`  // documents; as many as may be when zero
	}
	documentAsk struct {
		asking
		stripeAsked
		contract.Key
	}
	documentsAsk struct {
		asking
		stripeAsked
		Documents []contract.Key `json:"documents"`
		Pull      string         `json:"pull,omitzero"`   // the name of the stream, for credit
		Window    int            `json:"window,omitzero"` // bytes that may be under way
	}
	creditAsk struct {
		asking
		Pull  string `json:"pull"`
		Taken uint64 `json:"taken"`         // bytes of data that were worked on since the beginning
		Stop  bool   `json:"stop,omitzero"` // no more is wanted
	}
)

// stripeAsked names a stripe.
type stripeAsked struct {
	Stripe string `json:"stripe,omitzero"`
	Birth  uint32 `json:"birth,omitzero"`
}

// parseAsk reads a request's body; an empty one is {}. A field that it does not know
// is refused: what it asks for would not be done.
func parseAsk[T any](body []byte) (T, error) {
	var ask, nothing T
	if len(body) > maxRequest {
		return nothing, refuse(CodeTooLarge, "the request has %d bytes, at most %d are read: ask for less at once", len(body), maxRequest)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nothing, nil
	}
	var first asking
	if err := json.Unmarshal(body, &first); err != nil {
		return nothing, refuse(CodeMalformed, "the request is not understood: %v", err)
	}
	if v := first.Version; v != 0 && v != protocolVersion {
		return nothing, refuse(CodeVersion, "the request is of version %d, this host speaks version %d", v, protocolVersion)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&ask); err != nil {
		return nothing, refuse(CodeMalformed, "the request is not understood: %v", err)
	}
	return ask, nil
}

// check refuses what no host can answer, whatever it has.
func (a *rootsAsk) check() error {
	if len(a.Stripes) > maxStripes {
		return refuse(CodeTooLarge, "%d stripes are asked for, at most %d at once", len(a.Stripes), maxStripes)
	}
	return nil
}

func (a *standAsk) check() error {
	if a.Stripe == "" {
		return refuse(CodeMalformed, `no stripe is asked for: send {"stripe":"s1"}`)
	}
	return nil
}

func (a *bucketsAsk) check() error {
	switch n := len(a.Partitions); {
	case n == 0:
		return refuse(CodeMalformed, `no partition is asked for: send {"partitions":[7]}`)
	case n > layout.Buckets:
		return refuse(CodeTooLarge, "%d partitions are asked for, there are no more than %d", n, layout.Buckets)
	}
	return nil
}

func (a *indexAsk) check() error {
	switch {
	case !a.Bucket.Valid():
		return refuse(CodeMalformed, "bucket %v: there are buckets 0 to %d", a.Bucket, layout.Buckets-1)
	case a.Limit < 0 || a.Limit > maxIndex:
		return refuse(CodeMalformed, "limit %d: want 1 to %d, or none", a.Limit, maxIndex)
	}
	return nil
}

func (a *documentAsk) check() error {
	if err := contract.CheckKey(a.Key); err != nil {
		return refuse(CodeMalformed, `%v: send {"space":"...","key":"..."}`, err)
	}
	return nil
}

func (a *documentsAsk) check() error {
	switch n := len(a.Documents); {
	case n == 0:
		return refuse(CodeMalformed, `no document is asked for: send {"documents":[{"space":"...","key":"..."}]}`)
	case n > maxKeys:
		return refuse(CodeTooLarge, "%d documents are asked for, at most %d at once", n, maxKeys)
	case len(a.Pull) > contract.MaxHeader:
		return refuse(CodeMalformed, "the pull's name has %d bytes, at most %d", len(a.Pull), contract.MaxHeader)
	case a.Window < 0:
		return refuse(CodeMalformed, "window %d: want a number of bytes", a.Window)
	}
	for i, k := range a.Documents {
		if err := contract.CheckKey(k); err != nil {
			return refuse(CodeMalformed, "documents[%d]: %v", i, err)
		}
	}
	return nil
}

// refuse makes the reason for which a request is not answered.
func refuse(code int, format string, args ...any) error {
	return &RefusedError{Code: code, Why: fmt.Sprintf(format, args...)}
}

// refusalOf is the reason that err stands for.
func refusalOf(err error) *RefusedError {
	if r, ok := errors.AsType[*RefusedError](err); ok {
		return r
	}
	return &RefusedError{Code: CodeFailed, Why: err.Error()}
}
