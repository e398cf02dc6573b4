package streams

import (
	"bytes"
	"errors"

	"trireme/internal/digest"
	"trireme/internal/position"
	"trireme/internal/record"
)

// This file decides and does nothing: no clock, no log, no locks.

// A fate is what became of a record that was sent.
type fate uint8

const (
	fateOpen   fate = iota // not known yet
	fateStored             // committed, at the place that it was sent for
	fateMissed             // not committed, and never will be
)

// fateOf tells the fate of a record, sent for the place after expected, from a
// record that the log holds. Equal bytes are the same record: a batch names its
// epoch, and under one epoch a place is tried again only after a definite no.
func fateOf(expected uint64, body []byte, seq uint64, got []byte) fate {
	switch {
	case seq <= expected:
		return fateOpen
	case seq == expected+1 && bytes.Equal(body, got):
		return fateStored
	}
	return fateMissed
}

// continues says whether a record names a chain hash as that of the log before
// it. The rest of the record is not looked at.
func continues(chain digest.Chain, body []byte) bool {
	line, _, _ := bytes.Cut(body[:min(len(body), 256)], []byte("\r\n"))
	words := bytes.Fields(line)
	at := map[string]int{"CLAIM": 3, "BATCH": 4, "RELEASE": 4} // see internal/record
	if len(words) == 0 {
		return false
	}
	n, known := at[string(words[0])]
	return known && n < len(words) && string(words[n]) == chain.String()
}

// A step is what an owner does after an append.
type step uint8

const (
	stepApply   step = iota + 1 // committed: apply and answer
	stepRefuse                  // definitely not, for want of room: answer and stay owner
	stepAgain                   // definitely not: claim again and prepare anew
	stepResolve                 // unknown: claim again and learn the fate from the log
)

func stepAfter(err error) step {
	switch {
	case err == nil:
		return stepApply
	case errors.Is(err, ErrFull), errors.Is(err, ErrTooLarge):
		return stepRefuse
	case errors.Is(err, ErrRefused), errors.Is(err, ErrUndelivered):
		return stepAgain
	}
	return stepResolve
}

// fits says whether one more proposal goes into a batch. One that is too large
// for any batch goes into an empty one.
func fits(proposals, bytes, size int, cfg *OwnerConfig) bool {
	return proposals < cfg.BatchProposals && (bytes == 0 || bytes+size <= cfg.BatchBytes)
}

// The marks of a log's fill, in parts of its bound.
const (
	trimMark   = 0.70 // from here on everything durable is trimmed
	refuseMark = 0.90 // from here on changes are refused; the rest is for barriers and claims
)

func over(mark float64, used, more, bound int64) bool {
	return bound > 0 && float64(used)+float64(more) > mark*float64(bound)
}

// trimBelow says below which sequence to trim a log, or 0 for not now. Records
// at or above floor are kept always, about the newest keep bytes unless the log
// is pressed for room, and steps are coarse: a trim may rewrite a block.
func trimBelow(st LogState, floor uint64, keep, coarse int64, pressed bool) uint64 {
	floor = min(floor, st.Last+1)
	if st.Records() == 0 || floor <= st.First {
		return 0
	}
	if pressed {
		return floor
	}
	average := max(1, float64(st.Bytes)/float64(st.Records()))
	excess := float64(st.Bytes - keep)
	if excess <= 0 {
		return 0
	}
	below := min(floor, st.First+uint64(excess/average))
	if float64(below-st.First)*average < float64(coarse) {
		return 0
	}
	return below
}

// footprint is about what a record takes in the stream's files.
func footprint(body []byte) int64 {
	const perRecord = 140 // framing, subject and the condition's header
	return int64(len(body)) + perRecord
}

// claimRecord is the claim that goes after at.
func claimRecord(at State, now int64, cfg *OwnerConfig) []byte {
	return record.AppendClaim(nil, &record.Record{
		Kind: record.Claim, Time: max(now, at.Time), Prev: at.Chain,
		Host: cfg.Host, Boot: cfg.Boot, Layout: cfg.Layout(),
	})
}

// epochOf is the epoch that a claim at seq begins.
func epochOf(birth uint32, seq uint64) position.Position {
	return position.Position{Birth: birth, Seq: seq}
}
