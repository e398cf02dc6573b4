package identity

import (
	"fmt"
	"slices"
	"time"
)

// An Order lets a host take part although it would wait or be held back. It is
// given for one situation, which whoever gives it was shown, and used up by it.
type Order struct {
	Situation string   `json:"situation"` // [Verdict.Situation]
	Missing   []string `json:"missing"`   // hosts that were missing then; more must not be
	Given     string   `json:"given"`     // when
}

// Order is the order that overrides a verdict.
func (v Verdict) Order(now time.Time) Order {
	return Order{Situation: v.Situation, Missing: v.Missing, Given: now.UTC().Format(time.RFC3339)}
}

// fits tells whether the order is for a verdict.
func (o *Order) fits(v *Verdict) bool {
	if o == nil || o.Situation != v.Situation {
		return false
	}
	return !slices.ContainsFunc(v.Missing, func(host string) bool { return !slices.Contains(o.Missing, host) })
}

// WriteOrder puts an order into a data directory, where the host finds it when it
// looks next.
func WriteOrder(dir string, o Order) error {
	text, err := seal(o)
	if err != nil {
		return err
	}
	f := files{dir: dir}
	return f.write(orderFile, text)
}

// ReadOrder reads the order in a data directory; nil when there is none.
func ReadOrder(dir string) (*Order, error) {
	f := files{dir: dir}
	text, err := f.read(orderFile)
	if err != nil || text == nil {
		return nil, err
	}
	o, err := unseal[Order](text)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: file readmit: %w; remove it and give the order again", dir, err)
	}
	return &o, nil
}
