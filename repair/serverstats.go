package repair

import "sync/atomic"

// ServerStats is what a [Server] has done since it was started.
type ServerStats struct {
	Requests  uint64 `json:"requests"`
	Refused   uint64 `json:"refused"`
	Sent      uint64 `json:"sent_bytes"`      // of all answers
	Pulls     int    `json:"pulls"`           // streams now
	Pulled    uint64 `json:"pulled"`          // streams, in all
	Documents uint64 `json:"documents"`       // sent in them
	Data      uint64 `json:"documents_bytes"` // of them
	// Reads counts reads of the store on disk: of indexes and of documents. Answering a
	// round that finds nothing makes none.
	Reads uint64 `json:"disk_reads"`
}

type serverCounts struct {
	requests, refused, sent, pulled, documents, data, reads atomic.Uint64
}

// Stats counts from Start on.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	pulls := len(s.pulls)
	s.mu.Unlock()
	c := &s.counts
	return ServerStats{
		Requests: c.requests.Load(), Refused: c.refused.Load(), Sent: c.sent.Load(), Pulls: pulls,
		Pulled: c.pulled.Load(), Documents: c.documents.Load(), Data: c.data.Load(), Reads: c.reads.Load(),
	}
}
