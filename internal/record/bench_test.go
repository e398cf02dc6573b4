package record

import (
	"fmt"
	"strings"
	"testing"

	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/position"
)

// typicalBatch has frames of 256 bytes of JSON each, with request id, writer
// and incarnation, as an Adama node sends them.
func typicalBatch(frames int) []Change {
	changes := make([]Change, frames)
	for i := range changes {
		changes[i] = Change{
			Verb: Patch, Key: contract.Key{Space: "chat", Key: fmt.Sprintf("room-%06d", i)},
			ID: fmt.Sprintf("6f9a2c-%012d", i), Writer: "adama-node-1", Incarnation: position.Position{Birth: 1, Seq: 123456},
			Updates: []contract.Update{{
				SeqBegin: 1234, SeqEnd: 1235, Who: &contract.Who{Agent: "jeff", Authority: "overlord"}, UpdateType: contract.DirectMessageExecute,
				Request: strings.Repeat("r", 128), Redo: strings.Repeat("d", 64), Undo: strings.Repeat("u", 64),
			}},
		}
	}
	return changes
}

const batchFrames = 64

func perFrame(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchFrames, "ns/frame")
	b.ReportAllocs()
}

func BenchmarkParse(b *testing.B) {
	r := Record{Kind: Batch, Epoch: position.Position{Birth: 1, Seq: 7}, Changes: typicalBatch(batchFrames)}
	body := encode(&r)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := Parse(body); err != nil {
			b.Fatal(err)
		}
	}
	perFrame(b)
}

func BenchmarkAppend(b *testing.B) {
	changes := typicalBatch(batchFrames)
	var builder Builder
	for b.Loop() {
		builder.Reset()
		for i := range changes {
			builder.Add(&changes[i])
		}
		builder.Record(position.Position{Birth: 1, Seq: 7}, 1760000000123, digest.Chain{})
	}
	perFrame(b)
}
