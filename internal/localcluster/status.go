package localcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Status is what this package reads of a host's /status.
type Status struct {
	Host       string      `json:"host"`
	Pid        int         `json:"pid"`
	Ready      bool        `json:"ready"`
	Layout     uint64      `json:"layout"`
	Conditions []Condition `json:"conditions"`
	Stripes    []Stripe    `json:"stripes"`
}

// Condition is one thing that is wrong with a host.
type Condition struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Subject  string `json:"subject"`
	Text     string `json:"text"`
	Remedy   string `json:"remedy"`
}

// Stripe is a log as a host sees it.
type Stripe struct {
	Name       string   `json:"name"`
	Members    []string `json:"members"`
	Partitions int      `json:"partitions"`
	Owner      string   `json:"owner"`
	Phase      string   `json:"phase"`
	Epoch      string   `json:"epoch"`
	Applied    uint64   `json:"applied"`
	Durable    uint64   `json:"durable"`
	Skipped    uint64   `json:"skipped"`
	LogLast    uint64   `json:"log_last"`
	Error      string   `json:"error"`
}

// Stripe finds a stripe by its name.
func (s *Status) Stripe(name string) (Stripe, bool) {
	for _, stripe := range s.Stripes {
		if stripe.Name == name {
			return stripe, true
		}
	}
	return Stripe{}, false
}

// Condition finds a condition by its id.
func (s *Status) Condition(id string) (Condition, bool) {
	for _, c := range s.Conditions {
		if c.ID == id {
			return c, true
		}
	}
	return Condition{}, false
}

// Get asks a host over HTTP and returns the status code and the body.
func (h *Host) Get(ctx context.Context, path string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.HTTP+path, nil)
	if err != nil {
		return 0, nil, err
	}
	reply, err := h.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 4<<20))
	return reply.StatusCode, body, err
}

// Status asks the host how it is.
func (h *Host) Status(ctx context.Context) (Status, error) {
	code, body, err := h.Get(ctx, "/status")
	if err != nil {
		return Status{}, err
	}
	if code != http.StatusOK {
		return Status{}, fmt.Errorf("host %s answers /status with %d: %.300s", h.Name, code, body)
	}
	var s Status
	if err := json.Unmarshal(body, &s); err != nil {
		return Status{}, fmt.Errorf("host %s: read its status: %w", h.Name, err)
	}
	return s, nil
}

// Ready is nil when a request sent to the host would be answered, and says why not
// else.
func (h *Host) Ready(ctx context.Context) error {
	code, body, err := h.Get(ctx, "/readyz")
	if err != nil {
		return err
	}
	if code == http.StatusOK {
		return nil
	}
	var why struct{ Conditions []Condition }
	if err := json.Unmarshal(body, &why); err != nil || len(why.Conditions) == 0 {
		return fmt.Errorf("host %s answers /readyz with %d: %.300s", h.Name, code, body)
	}
	var all []string
	for _, c := range why.Conditions {
		all = append(all, c.ID+": "+c.Text)
	}
	return fmt.Errorf("host %s is not ready: %s", h.Name, strings.Join(all, "; "))
}

// Owns tells whether the host says that it owns a partition, "07".
func (h *Host) Owns(ctx context.Context, partition string) (bool, error) {
	code, _, err := h.Get(ctx, "/owner/"+partition)
	return code == http.StatusOK, err
}
