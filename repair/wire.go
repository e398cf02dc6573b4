package repair

import (
	"encoding/hex"
	"fmt"

	"trireme/internal/digest"
	"trireme/internal/position"
)

// protocolVersion is the version of what hosts ask one another and answer. It only
// grows; docs/formats.md describes it.
const protocolVersion = 1

// ServiceName is what the answering side is called among micro services:
// `nats service info trireme-repair`.
const ServiceName = "trireme-repair"

// What a host is asked: the last words of [Subject].
const (
	EndpointRoots     = "roots"     // digests of its stripes, or of a stripe's partitions
	EndpointStand     = "stand"     // where it stands in the log of a stripe
	EndpointBuckets   = "buckets"   // digests of buckets
	EndpointIndex     = "index"     // the documents of a bucket
	EndpointDocument  = "document"  // all that is known of one document's copy
	EndpointDocuments = "documents" // the documents themselves, as a stream
	EndpointCredit    = "credit"    // what was taken of such a stream; not answered
)

// Subject is where a host is asked: trireme.repair.<host>.<endpoint>, in the account
// of the logs.
func Subject(host, endpoint string) string { return "trireme.repair." + host + "." + endpoint }

// Bounds of one request and its answer. Who wants more asks again.
const (
	maxRequest     = 1 << 20   // bytes of a request
	maxAnswer      = 8 << 20   // bytes of an answer in one message
	maxIndex       = 1024      // documents of an answer, and of as many bytes as follow at most,
	maxIndexBytes  = 512 << 10 // if there is more than one
	maxKeys        = 4096      // documents asked for in one stream
	maxStripes     = 1024      // asked for by name
	maxRefusalText = 1 << 10
)

// asking is at the front of every request. Who asks by hand may leave it out.
type asking struct {
	Version      int    `json:"version,omitzero"`
	From         string `json:"from,omitzero"` // the host that asks
	Layout       uint64 `json:"layout,omitzero"`
	LayoutDigest string `json:"layout_digest,omitzero"`
}

// telling is at the front of every answer.
type telling struct {
	Version      int    `json:"version"`
	Host         string `json:"host"`
	Layout       uint64 `json:"layout"`
	LayoutDigest string `json:"layout_digest"`
}

// sideTold says of which stripe an answer speaks and how the host stood in it then.
// The positions carry the stripe's birth.
type sideTold struct {
	Stripe  string       `json:"stripe"`
	Applied wirePosition `json:"applied"`
	Horizon wirePosition `json:"horizon,omitzero"`
}

// A wirePosition is a position as it travels: "1-42".
type wirePosition position.Position

// MarshalText is for encoding/json.
func (p wirePosition) MarshalText() ([]byte, error) { return position.Position(p).Append(nil), nil }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (p *wirePosition) UnmarshalText(b []byte) error {
	q, err := position.Parse(string(b))
	*p = wirePosition(q)
	return err
}

// A wireDigest is a digest as it travels: 64 hexadecimal digits.
type wireDigest digest.Digest

// MarshalText is for encoding/json.
func (d wireDigest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (d *wireDigest) UnmarshalText(b []byte) error {
	if len(b) != 2*len(d) {
		return fmt.Errorf("digest %q: want %d hexadecimal digits", b, 2*len(d))
	}
	for _, c := range b {
		if c >= 'A' && c <= 'F' {
			return fmt.Errorf("digest %q: want lower-case digits", b)
		}
	}
	if _, err := hex.Decode(d[:], b); err != nil {
		return fmt.Errorf("digest %q: %w", b, err)
	}
	return nil
}
