package service

import (
	"github.com/nats-io/nats.go"

	"trireme/internal/layout"
	"trireme/internal/position"
	"trireme/streams"
)

var noMessage = &nats.Msg{}

func singleLayout() layout.Layout { return layout.Single("h1") }

// silent takes proposals and never tells of them.
type silent struct{}

func (silent) Submit(streams.Proposal, int) error { return nil }
func (silent) Epoch() (position.Position, bool)   { return position.Position{}, true }
func (silent) Behind() uint64                     { return 0 }
