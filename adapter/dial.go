package adapter

import (
	"time"

	"github.com/nats-io/nats.go"
)

// NATSOptions are what a connection needs to get over the failure of a host by
// itself. It reconnects for as long as it is not closed, to another host within a
// fraction of a second, and keeps nothing to send later than it was told. A host
// that is there and does not answer, as when it is frozen, is left after 3 to
// 4.5 s; on a link that needs seconds for one reply of 60 MiB, set a longer
// [nats.PingInterval]. [nats.Connect] then returns also while no host can be
// reached; [nats.RetryOnFailedConnect] of false makes that an error.
func NATSOptions() []nats.Option {
	return []nats.Option{
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(50 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.Timeout(2 * time.Second),
		nats.PingInterval(1500 * time.Millisecond),
		nats.MaxPingsOutstanding(2),
	}
}

// Dial connects to one of several hosts, named by URLs with commas between them,
// with [NATSOptions] and then those given, which may change them. Name more than
// one host. The caller closes the connection.
func Dial(urls string, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(urls, append(NATSOptions(), opts...)...)
}
