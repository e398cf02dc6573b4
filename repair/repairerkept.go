package repair

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"trireme/internal/layout"
	"trireme/internal/position"
)

// keptFile is where a [Repairer] keeps what it would have to find out again.
const keptFile = "repair.json"

// keptVersion is the version of the file. It only grows.
const keptVersion = 1

// kept is the file. What was pulled is not in it: the store itself shows that.
type kept struct {
	Version     int                    `json:"version"`
	PausedUntil *time.Time             `json:"paused_until,omitempty"`
	Rate        *int64                 `json:"rate_bytes_per_second,omitempty"` // null: as configured
	Tranquility *float64               `json:"tranquility,omitempty"`           // likewise
	Clean       map[string][]keptClean `json:"clean,omitempty"`                 // by stripe
	Heals       map[string]keptHeal    `json:"heals,omitempty"`                 // by stripe
	Scrub       keptScrub              `json:"scrub"`
}

// keptClean is up to where a range of buckets was found equal, when, and to whom.
type keptClean struct {
	First    layout.Bucket `json:"first"`
	Last     layout.Bucket `json:"last"`
	Position string        `json:"position"`
	At       time.Time     `json:"at"`
	Against  string        `json:"against"`
}

// keptHeal is what a person wants to know of a healing that went on before a restart.
type keptHeal struct {
	Began     time.Time `json:"began"`
	Buckets   int       `json:"buckets"`
	Verified  int       `json:"verified_buckets"`
	Documents uint64    `json:"documents"`
	Bytes     uint64    `json:"bytes"`
	Tries     int       `json:"tries"`
}

// keptScrub is how far the scrub has come.
type keptScrub struct {
	Began     *time.Time    `json:"began,omitempty"` // of the pass; null between two
	Next      layout.Bucket `json:"next"`            // that is read next
	Read      int           `json:"read_buckets"`
	Documents uint64        `json:"documents"`
	Bytes     uint64        `json:"bytes"`
	Damaged   uint64        `json:"damaged"`
	Mended    uint64        `json:"mended_digests"`
	Ended     *time.Time    `json:"ended,omitempty"` // of the last whole pass
}

// readKept reads what was kept in a directory. No directory, or no file, is a new
// beginning.
func readKept(dir string) (kept, error) {
	none := kept{Version: keptVersion}
	if dir == "" {
		return none, nil
	}
	path := filepath.Join(dir, keptFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("progress of repair: %w", err)
	}
	k, err := parseKept(text)
	if err != nil {
		return none, fmt.Errorf("progress of repair in %s: %w: remove the file, and everything is compared again", path, err)
	}
	return k, nil
}

func parseKept(text []byte) (kept, error) {
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return k, err
	}
	if k.Version < 1 || k.Version > keptVersion {
		return k, fmt.Errorf("version %d, this program reads 1 to %d", k.Version, keptVersion)
	}
	if k.Rate != nil && *k.Rate < 0 {
		return k, fmt.Errorf("rate_bytes_per_second is %d: want 0 or more", *k.Rate)
	}
	if k.Tranquility != nil {
		if err := checkTranquility(*k.Tranquility); err != nil {
			return k, err
		}
	}
	if k.Scrub.Next > layout.Buckets { // one past the last is the end of a pass
		return k, fmt.Errorf("scrub.next is %d: want a bucket", k.Scrub.Next)
	}
	for stripe, list := range k.Clean {
		for _, c := range list {
			if _, err := position.Parse(c.Position); err != nil || !c.Last.Valid() || c.First > c.Last {
				return k, fmt.Errorf("clean of stripe %s: buckets %d to %d at %q: want a range and a position", stripe, c.First, c.Last, c.Position)
			}
		}
	}
	return k, nil
}

// write replaces the file in a directory: after a crash at any time it is the old one
// or the new one, in whole.
func (k *kept) write(dir string) error {
	if dir == "" {
		return nil
	}
	text, err := json.MarshalIndent(k, "", " ")
	if err != nil {
		return fmt.Errorf("progress of repair: %w", err)
	}
	path := filepath.Join(dir, keptFile)
	if err := writeSynced(path+".new", append(text, '\n')); err != nil {
		return fmt.Errorf("progress of repair: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("progress of repair: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("progress of repair: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func writeSynced(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}
