package adapter

import (
	"time"

	"trireme/internal/contract"
)

// An Option changes a [Client] as it is made. A bad one makes [NewClient] fail
// with [ErrMalformed].
type Option func(*Client) error

// WithWriter names the Adama node instance that this client writes for: 1 to 64
// printable ASCII characters, another name after every restart of the node.
// The store accepts a writer's snapshots only of what that writer wrote or
// loaded. Without a writer there is no such fence.
func WithWriter(id string) Option {
	return func(c *Client) error {
		c.writer = id
		return checkHeader(contract.HeaderWriter, id)
	}
}

// WithTimeout bounds a call whose context has no deadline; 30 s by default. Of
// an iterator it bounds every page.
func WithTimeout(d time.Duration) Option {
	return func(c *Client) error {
		if d <= 0 {
			return contract.Errorf(contract.Malformed, "timeout is %v: want more than 0", d)
		}
		c.timeout = d
		return nil
	}
}

// WithRetryWait sets how long a call waits before it sends its request again:
// about shortest at first, doubled each time up to longest, less a random part of
// at most half.
// The defaults are 50 ms and 2 s.
func WithRetryWait(shortest, longest time.Duration) Option {
	return func(c *Client) error {
		if shortest <= 0 || longest < shortest {
			return contract.Errorf(contract.Malformed, "retry wait is %v to %v: want 0 < shortest <= longest", shortest, longest)
		}
		c.retry.waitMin, c.retry.waitMax = shortest, longest
		return nil
	}
}

// WithRequestIDs sets what makes request ids. It is called from many goroutines
// and must never return the same id twice, on any host: 1 to 64 printable ASCII
// characters. The default is [github.com/nats-io/nuid.Next].
func WithRequestIDs(next func() string) Option {
	return func(c *Client) error {
		if next == nil {
			return contract.Errorf(contract.Malformed, "request ids: the function is nil")
		}
		c.nextID = next
		return nil
	}
}

// A GetOption changes one [Client.Get] or [Client.GetParts].
type GetOption func(*get) error

type get struct {
	consistency string
	host        string
}

// Local asks for what the answering replica has, however far behind it is: it
// needs no owner and no quorum. A document that it lacks is [ErrNotHere].
func Local() GetOption {
	return func(g *get) error {
		g.consistency = contract.Local
		return nil
	}
}

// FromHost asks one host instead of any, which matters for [Local] reads only.
func FromHost(host string) GetOption {
	return func(g *get) error {
		g.host = host
		return checkHost(host)
	}
}

// A WriteOption changes one call that changes something.
type WriteOption func(*call) error

// WithRequestID makes the call carry this id instead of a new one. Use it to
// ask again after [ErrOutcomeUnknown], with the same call and within two
// minutes: for so long the store remembers ids at least.
func WithRequestID(id string) WriteOption {
	return func(r *call) error {
		r.id = id
		return checkHeader(contract.HeaderRequestID, id)
	}
}

// WithIncarnation makes a patch fail with [ErrHeadDiffers] if the document is
// not the one that was read: if it was recovered, or deleted and created again.
// It is for [Client.Patch]; a [SnapshotRequest] has a field of its own.
func WithIncarnation(incarnation string) WriteOption {
	return func(r *call) error {
		body, ok := r.body.(*contract.PatchRequest)
		if !ok {
			return contract.Errorf(contract.Malformed, "WithIncarnation is for patch, not for %s", r.op)
		}
		if incarnation == "" {
			return contract.Errorf(contract.Malformed, "WithIncarnation: the incarnation is empty: leave the option out, or give the one of the document that was read")
		}
		body.Incarnation = incarnation
		return nil
	}
}

// checkHeader refuses an empty value too: whoever names one means to have one.
func checkHeader(name, value string) error {
	if value == "" {
		return contract.Errorf(contract.Malformed, "%s is empty: want 1 to %d printable ASCII characters", name, contract.MaxHeader)
	}
	return contract.CheckHeader(name, value)
}

// checkHost refuses what cannot be one token of a subject.
func checkHost(host string) error {
	if host == "" {
		return contract.Errorf(contract.Malformed, "host is empty: name one, as in the layout")
	}
	for _, r := range host {
		if r <= ' ' || r > '~' || r == '.' || r == '*' || r == '>' {
			return contract.Errorf(contract.Malformed, "host %q: %q cannot be in a host's name", host, r)
		}
	}
	return nil
}
