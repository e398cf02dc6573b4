package repair

import (
	"trireme/buckets"
	"trireme/internal/contract"
	"trireme/internal/digest"
	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/repair/plan"
)

// The bodies of answers, JSON. Readers leave alone what they do not know.
type (
	rootsTell struct {
		telling
		Stripes []rootTold `json:"stripes"`
	}
	standTell struct {
		telling
		sideTold
		Chain string       `json:"chain"`          // of the log up to applied
		Epoch wirePosition `json:"epoch,omitzero"` // of the last claim up to there
		Time  int64        `json:"time"`           // the highest up to there, Unix milliseconds

		Lost [][2]layout.Bucket `json:"lost,omitempty"` // first and last, in order: buckets of the stripe that have lost rows
	}
	bucketsTell struct {
		telling
		sideTold
		Buckets []bucketTold `json:"buckets"` // in order; those left out are empty
	}
	indexTell struct {
		telling
		sideTold
		Bucket    layout.Bucket `json:"bucket"`
		Documents []docTold     `json:"documents"` // tombstones too, in the order of their names
		More      bool          `json:"more"`      // there are documents behind the last one
	}
	documentTell struct {
		telling
		sideTold
		Sick   string        `json:"sick,omitzero"`
		Bucket layout.Bucket `json:"bucket"`
		docTold
		Checked string `json:"checked"`        // what reading all of it has shown
		Image   int    `json:"image,omitzero"` // its size in bytes
	}

	// headTell and endTell are the bodies of the first and the last frame of a stream.
	headTell struct {
		telling
		sideTold
		Documents int    `json:"documents"` // asked for
		Pull      string `json:"pull"`
		Window    int    `json:"window"` // bytes of data that come without credit
	}
	endTell struct {
		Items   int          `json:"items"`         // that came, from the first document on
		Data    uint64       `json:"data"`          // bytes of data, all frames together
		More    bool         `json:"more,omitzero"` // the other documents may be asked for now
		Refusal *refusalTold `json:"refusal,omitempty"`
	}
)

// What documentTell.Checked may say.
const (
	checkedOK      = "ok"
	checkedDamaged = "damaged"
	checkedAbsent  = "absent"
)

// rootTold is one stripe of a host.
type rootTold struct {
	sideTold
	Sick       string          `json:"sick,omitzero"` // then it has no root
	Position   wirePosition    `json:"position,omitzero"`
	Root       wireDigest      `json:"root,omitzero"`
	Partitions []partitionTold `json:"partitions,omitempty"`
}

type partitionTold struct {
	Partition layout.PartitionID `json:"partition"`
	Position  wirePosition       `json:"position,omitzero"`
	Root      wireDigest         `json:"root"`
}

type bucketTold struct {
	Bucket   layout.Bucket `json:"bucket"`
	Position wirePosition  `json:"position"`
	Digest   wireDigest    `json:"digest"`
}

type docTold struct {
	contract.Key
	Head        int32        `json:"head"`
	Incarnation wirePosition `json:"incarnation,omitzero"`
	Position    wirePosition `json:"position,omitzero"`
	Digest      wireDigest   `json:"digest,omitzero"`
	Chain       wireDigest   `json:"chain,omitzero"` // of all updates of the incarnation
	Live        bool         `json:"live"`           // false with a position: a tombstone
	Marked      bool         `json:"marked,omitzero"`
	Damaged     string       `json:"damaged,omitzero"` // why this copy counts for nothing
}

func tellDoc(d *buckets.DocState) docTold {
	return docTold{
		Key: d.Key, Head: d.Head, Incarnation: wirePosition(d.Incarnation), Position: wirePosition(d.Position),
		Digest: wireDigest(d.Digest), Chain: wireDigest(d.Chain), Live: d.Live, Marked: d.Marked, Damaged: clip(d.Damaged, maxDamageText),
	}
}

func (d *docTold) doc() plan.Doc {
	return plan.Doc{
		Key: d.Key, Head: d.Head, Incarnation: position.Position(d.Incarnation), Position: position.Position(d.Position),
		Digest: digest.Digest(d.Digest), Chain: digest.Digest(d.Chain), Live: d.Live, Marked: d.Marked, Damaged: d.Damaged,
	}
}

// docOf is what an image's own state says, as plans see it.
func docOf(d *buckets.DocState) plan.Doc {
	return plan.Doc{
		Key: d.Key, Head: d.Head, Incarnation: d.Incarnation, Position: d.Position,
		Digest: d.Digest, Chain: d.Chain, Live: d.Live, Marked: d.Marked, Damaged: d.Damaged,
	}
}
