package main

import (
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
)

// sync makes a file durable from lo up to hi, and of names what a journal that commits in
// order makes durable with it: everything if the file's own times or size have changed,
// else everything up to the last change of this file. dataOnly leaves the times.
func (d *disk) sync(f *os.File, dataOnly bool, lo, hi int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Fsyncs++
	st, err := statOf(f)
	if err != nil {
		return err
	}
	v := d.files[st.Ino]
	if v != nil && (st.Size != v.durable || !dataOnly && v.touched) {
		err = d.commit(len(d.journal))
	} else {
		err = d.commitOf(st.Ino)
	}
	if v = d.files[st.Ino]; v == nil || err != nil { // it may have lost its last name for good
		return err
	}
	if err := v.synced(lo, hi); err != nil {
		return err
	}
	v.touched = v.touched && dataOnly
	if len(v.pages) == 0 && v.durable == st.Size && !v.touched {
		d.forget(st.Ino)
	}
	return nil
}

// whole is the end of any file.
const whole = math.MaxInt64

// syncDir makes a directory's names durable, and every change before them.
func (d *disk) syncDir(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Fsyncs++
	ino, err := inodeAt(path)
	if err != nil {
		return err
	}
	return d.commitOf(ino)
}

// syncFailed is an fsync that has failed: what it should have written is never written
// by another one.
func (d *disk) syncFailed(f *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, err := statOf(f)
	if err != nil {
		return err
	}
	if v := d.files[st.Ino]; v != nil {
		for _, p := range v.pages {
			p.failed = true
		}
	}
	return nil
}

// A keeper chooses what of all that is not durable is on the disk all the same when the
// power is cut.
type keeper interface {
	changes(of int) int // so many of the oldest changes
	page() bool         // this page
}

// nothing keeps nothing.
type nothing struct{}

func (nothing) changes(int) int { return 0 }
func (nothing) page() bool      { return false }

// some keeps a few of the oldest changes, and one page in two.
type some struct{ *rand.Rand }

func (s some) changes(of int) int { return s.IntN(of + 1) }
func (s some) page() bool         { return s.IntN(2) == 0 }

// sorted are the numbers of pages, so that a seed always keeps the same.
func sorted(pages map[int64]*page) []int64 { return slices.Sorted(maps.Keys(pages)) }
