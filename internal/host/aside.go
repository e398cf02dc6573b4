package host

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// asidePrefix begins the names of folders that hold stores which could not be opened.
const asidePrefix = "store-aside-"

// setAside moves a store that cannot be opened out of the way, never deleting it, so
// that the host comes up with an empty one and is filled from the others.
func (h *Host) setAside(dir string, why error) error {
	stamp := time.Now().UTC().Format("20060102T150405Z")
	for n := 1; ; n++ {
		to := filepath.Join(h.Config.Data, fmt.Sprintf("%s%s-%d", asidePrefix, stamp, n))
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(dir, to); err != nil {
			return fmt.Errorf("set the document store aside, which cannot be opened (%w): %w", why, err)
		}
		h.Logger.Error("the document store cannot be opened and is set aside; the documents are fetched from the other hosts", "folder", to, "error", why)
		return syncDir(h.Config.Data)
	}
}

// syncDir makes a rename in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// asides are the folders of stores that could not be opened and are kept.
func (h *Host) asides() []string {
	list, _ := filepath.Glob(filepath.Join(h.Config.Data, asidePrefix+"*")) // the pattern is sound
	return list
}
