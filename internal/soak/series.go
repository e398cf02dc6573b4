package soak

import "fmt"

// A Series is one thing that is measured of a host, and that must not grow for ever.
type Series struct {
	Name  string
	Bytes bool // else a count
	// Floor is the growth that is noise, whatever the level.
	Floor int64
	// OfProcess: a restart sets it back, so it is judged in the life of one process.
	OfProcess bool
	Of        func(*Sample) int64
}

const mebi = 1 << 20

// All are the series that are judged. What grows by design, the number of acknowledged
// changes, is none of them. The store writes 16 MiB eight times before it compacts them,
// so its size goes up and down by 128 MiB, in times that may be as long as a quarter; when
// it is opened it begins low.
func All() []Series {
	return []Series{
		{"resident memory", true, 48 * mebi, true, func(s *Sample) int64 { return s.Resident }},
		{"heap", true, 32 * mebi, true, func(s *Sample) int64 { return s.Heap }},
		{"descriptors", false, 32, true, func(s *Sample) int64 { return s.Descriptors }},
		{"goroutines", false, 48, true, func(s *Sample) int64 { return s.Goroutines }},
		{"store on disk", true, 128 * mebi, true, func(s *Sample) int64 { return s.StoreDisk }},
		{"logs on disk", true, 24 * mebi, false, func(s *Sample) int64 { return s.LogDisk }},
		{"other files", true, mebi, false, func(s *Sample) int64 { return s.OtherDisk }},
		{"log records", true, 8 * mebi, false, func(s *Sample) int64 { return s.Log }},
	}
}

// text is a value of the series for people.
func (s *Series) text(v int64) string {
	if s.Bytes {
		return fmt.Sprintf("%.1f MiB", float64(v)/mebi)
	}
	return fmt.Sprint(v)
}
