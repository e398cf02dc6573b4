package streams

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// MoveLeader has the stream's leader step down in favour of a server, by name, or
// of whichever is fit when preferred is "". It is done when the leader has agreed;
// that another leads is seen later. When the server leads already, nothing is done.
func (l *Log) MoveLeader(ctx context.Context, preferred string) error {
	type placement struct {
		Preferred string `json:"preferred"`
	}
	var body []byte
	if preferred != "" {
		var err error
		if body, err = json.Marshal(map[string]placement{"placement": {preferred}}); err != nil {
			return fmt.Errorf("move the leader of log %s to %s: %w", l.name, preferred, err)
		}
	}
	m, err := l.nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+l.name, body)
	if err != nil {
		return fmt.Errorf("move the leader of log %s to %q: %w", l.name, preferred, err)
	}
	var answer struct {
		Success bool                `json:"success"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("move the leader of log %s to %q: read the answer %.100q: %w", l.name, preferred, m.Data, err)
	}
	if answer.Success {
		return nil
	}
	if st, err := l.State(ctx); err == nil && preferred != "" && st.Leader == preferred {
		return nil
	}
	return fmt.Errorf("move the leader of log %s to %q: refused: %w", l.name, preferred, answer.Error)
}

// leader is the name of the server that leads a stream and has told this of it.
// A replica of a group that has no leader answers too, with what it has itself.
func leader(c *jetstream.ClusterInfo) (name string, ok bool) {
	if c == nil {
		return "", true // it stands alone
	}
	for _, peer := range c.Replicas { // the one that answers is not among them
		if peer.Name == c.Leader {
			return c.Leader, false
		}
	}
	return c.Leader, c.Leader != ""
}
