package identity

import (
	"encoding/json"
	"fmt"
	"net/http"

	"trireme/internal/layout"
)

// A State is how far a host has come.
type State string

// The states of a host.
const (
	Starting State = "starting" // it asks the others, or is on its way up
	HeldBack State = "held"     // it takes no part: see the verdict
	Serving  State = "serving"  // its NATS server runs
)

// An Answer is what a host tells whoever asks for its identity.
type Answer struct {
	Host    string `json:"host"`
	Disk    string `json:"disk"`
	Boot    uint64 `json:"boot"`
	Begun   bool   `json:"begun"` // on this disk: what it has not seen counts
	Cluster string `json:"cluster"`
	State   State  `json:"state"`
	// Healthy says that it serves, that it is a member in order of every one of its
	// stripes, and that each of them can commit. A host that still rehydrates is not
	// healthy, or two that were wiped one after the other would let each other in.
	Healthy bool `json:"healthy"`
	Seen    Seen `json:"seen"`

	Verdict *Verdict `json:"verdict,omitempty"` // why it does not run, while it does not
}

// Answer is what this host answers in a state.
func (id *Identity) Answer(state State, healthy bool, v *Verdict) Answer {
	id.mu.Lock()
	defer id.mu.Unlock()
	return Answer{
		Host: id.self.Host, Disk: id.self.Disk, Boot: id.self.Boot, Begun: id.self.Begun, Cluster: id.self.Cluster,
		State: state, Healthy: healthy, Seen: id.seen.clone(), Verdict: v,
	}
}

// ParseAnswer reads an answer as it travels. Fields that it does not know are left
// alone, so that hosts of different versions understand one another.
func ParseAnswer(text []byte) (Answer, error) {
	var a Answer
	if err := json.Unmarshal(text, &a); err != nil {
		return Answer{}, fmt.Errorf("answer: %w", err)
	}
	if err := layout.CheckName(a.Host); err != nil {
		return Answer{}, fmt.Errorf("answer: host: %w", err)
	}
	if a.Disk == "" || a.State == "" {
		return Answer{}, fmt.Errorf("answer of %s: it has no disk or no state", a.Host)
	}
	a.Seen.whole()
	return a, nil
}

// Handler answers with what the function tells at the time.
func Handler(answer func() Answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET is answered here", http.StatusMethodNotAllowed)
			return
		}
		text, err := json.Marshal(answer())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(append(text, '\n')) // whoever asked has gone, if it fails
	})
}
