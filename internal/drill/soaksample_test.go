package drill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trireme/internal/localcluster"
	"trireme/internal/soak"
)

// A sampler measures the hosts that are awake, again and again.
type sampler struct {
	c      *cluster
	out    *os.File
	acked  func() int64
	fault  atomic.Pointer[string] // the one that is not over yet
	began  time.Time
	cancel context.CancelFunc
	wait   sync.WaitGroup

	// Of the goroutine that measures, until it has ended:
	samples []soak.Sample
	pids    map[string]int
	lives   map[string]int
}

// startSampler adds samples to the file at path as they come.
func startSampler(c *cluster, path string, acked func() int64) *sampler {
	c.t.Helper()
	out, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	c.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	s := &sampler{c: c, out: out, acked: acked, began: time.Now(), cancel: cancel, pids: map[string]int{}, lives: map[string]int{}}
	c.t.Cleanup(s.stop)
	s.wait.Go(func() { s.run(ctx) })
	return s
}

// stop ends the measuring. It may be called again.
func (s *sampler) stop() {
	s.cancel()
	s.wait.Wait()
	if err := s.out.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		s.c.t.Error(err)
	}
}

func (s *sampler) run(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	perMinute := int(time.Minute / sampleEvery)
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, h := range s.c.Hosts {
			m, err := s.measure(ctx, h)
			if err != nil {
				continue // it is down, or stands still, or has just started
			}
			s.samples = append(s.samples, m)
			if err := soak.Write(s.out, m); err != nil {
				s.c.t.Error(err)
				return
			}
			if n%perMinute == 0 {
				s.c.t.Logf("%v: %s, process %d: %d MiB, heap %d MiB, %d descriptors, %d goroutines, store %d MiB, logs %d MiB on disk, %d MiB of records; %d changes",
					time.Since(s.began).Round(time.Second), h.Name, m.Life, m.Resident>>20, m.Heap>>20, m.Descriptors, m.Goroutines, m.StoreDisk>>20, m.LogDisk>>20, m.Log>>20, m.Acked)
			}
		}
	}
}

// measure asks a host over HTTP, and looks at its disk.
func (s *sampler) measure(ctx context.Context, h *localcluster.Host) (m soak.Sample, err error) {
	pid := h.Pid()
	if pid == 0 || h.Frozen() {
		return m, errors.New("it is not awake")
	}
	code, page, err := h.Get(ctx, "/metrics")
	if err != nil {
		return m, err
	}
	if code != http.StatusOK || pid != h.Pid() {
		return m, fmt.Errorf("/metrics answers %d, or the process is another by now", code)
	}
	if s.pids[h.Name] != pid {
		s.pids[h.Name] = pid
		s.lives[h.Name]++
	}
	m = soak.Sample{At: time.Now().UTC(), Host: h.Name, Life: s.lives[h.Name], Acked: s.acked()}
	if f := s.fault.Load(); f != nil {
		m.Fault = *f
	}
	for name, to := range map[string]*int64{
		"process_resident_memory_bytes": &m.Resident, "go_memstats_heap_inuse_bytes": &m.Heap,
		"process_open_fds": &m.Descriptors, "go_goroutines": &m.Goroutines,
	} {
		if *to = metric(string(page), name); *to == 0 {
			return m, fmt.Errorf("/metrics of %s has no %s", h.Name, name)
		}
	}
	m.Log = metric(string(page), "trireme_log_bytes")
	sizes, err := sizesUnder(h.Data)
	for top, size := range sizes {
		switch top {
		case "store":
			m.StoreDisk = size
		case "jetstream":
			m.LogDisk = size
		default:
			m.OtherDisk += size
		}
	}
	return m, err
}

// metric is the sum of a metric over its labels, 0 when there is none.
func metric(page, name string) (sum int64) {
	for line := range strings.Lines(page) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		text := strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:])
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			sum += int64(v)
		}
	}
	return sum
}

// sizesUnder are the sizes of what lies in a directory, by its name there. Files come
// and go meanwhile.
func sizesUnder(dir string) (map[string]int64, error) {
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		under, err := filepath.Rel(dir, path)
		top, _, _ := strings.Cut(filepath.ToSlash(under), "/")
		sizes[top] += info.Size()
		return err
	})
	return sizes, err
}

func TestMetricsAreRead(t *testing.T) {
	page := "# HELP go_goroutines Number.\n# TYPE go_goroutines gauge\ngo_goroutines 41\ngo_goroutines_total 7\n" +
		"process_resident_memory_bytes 1.5e+06\ntrireme_log_bytes{stripe=\"a b\"} 3\ntrireme_log_bytes{stripe=\"c\"} 4\n"
	for name, want := range map[string]int64{"go_goroutines": 41, "process_resident_memory_bytes": 1_500_000, "trireme_log_bytes": 7, "absent": 0} {
		if got := metric(page, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}
