package buckets

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/record"
)

// A stage measures one part of the way of an image.
type stage struct {
	wall, cpu time.Duration
}

func (s *stage) run(b *testing.B, f func()) {
	start, before := time.Now(), cpuTime(b)
	f()
	s.wall += time.Since(start)
	s.cpu += cpuTime(b) - before
}

func (s *stage) report(b *testing.B, name string, bytes int64) {
	b.ReportMetric(float64(bytes)/s.wall.Seconds()/1e6, name+"-MB/s")
	b.ReportMetric(float64(bytes)/s.cpu.Seconds()/1e6, name+"-MB/cpu-s")
}

// BenchmarkImages fills an empty store from another one by images, step after step,
// about 64 MB of documents at a time: read and check them at the peer, parse and
// check them here, put them. Flushes and compactions of the put are counted; the
// last checkpoint is in it.
func BenchmarkImages(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		for _, updates := range []int{1, 16} {
			b.Run(fmt.Sprintf("document=%dKiB/updates=%d", size>>10, updates), func(b *testing.B) {
				benchImages(b, size, updates)
			})
		}
	}
}

func benchImages(b *testing.B, size, updates int) {
	source, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer closed(b, source)
	log := newLog()
	fillNoise(b, source, log, 64<<20/size, size, updates)
	from := replicaOf(b, source)
	var export, check, put stage
	var bytes int64
	for range b.N {
		target, err := Open(b.TempDir(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		to := replicaOf(b, target)
		m, err := from.Moment()
		if err != nil {
			b.Fatal(err)
		}
		next := layout.Bucket(0)
		for next < layout.Buckets {
			var encoded [][]byte
			export.run(b, func() { encoded, next = benchExport(b, m, next, 8<<20) })
			var list []Put
			check.run(b, func() {
				for _, e := range encoded {
					im, err := ParseImage(e)
					if err == nil {
						_, err = im.Check()
					}
					if err != nil {
						b.Fatal(err)
					}
					bytes += int64(len(e))
					list = append(list, Put{Image: im, AsOf: m.Position()})
				}
			})
			put.run(b, func() { benchPut(b, to, list) })
		}
		put.run(b, func() {
			if err := to.Adopt(m.Applied()); err != nil {
				b.Fatal(err)
			}
		})
		m.Close()
		if target.Root(0, layout.Buckets-1) != source.Root(0, layout.Buckets-1) {
			b.Fatal("the stores differ")
		}
		put.run(b, func() { closed(b, target) })
	}
	export.report(b, "export", bytes)
	check.report(b, "check", bytes)
	put.report(b, "put", bytes)
	all := stage{export.wall + check.wall + put.wall, export.cpu + check.cpu + put.cpu}
	all.report(b, "all", bytes)
}

// benchExport reads images of at least so many bytes, if there are as many.
func benchExport(b *testing.B, m *Moment, from layout.Bucket, enough int) (encoded [][]byte, next layout.Bucket) {
	for ; from < layout.Buckets && enough > 0; from++ {
		err := m.Images(from, contract.Key{}, func(_ contract.Key, im *Image, err error) error {
			if err == nil {
				encoded = append(encoded, im.AppendBinary(nil))
				enough -= im.Size()
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return encoded, from
}

// benchPut puts lists of about 1 MiB.
func benchPut(b *testing.B, r *Replica, list []Put) {
	for len(list) > 0 {
		n, size := 0, 0
		for n < len(list) && size < 1<<20 {
			size += list[n].Image.Size()
			n++
		}
		if result, err := r.Put(list[:n]); err != nil || result.Taken != n {
			b.Fatal(result, err)
		}
		list = list[n:]
	}
}

// fillNoise makes documents of texts that are as compressible as JSON is, about to
// a third.
func fillNoise(b *testing.B, s *Store, log *stripeLog, documents, size, updates int) {
	rng := rand.New(rand.NewPCG(1, 1))
	for d := 0; d < documents; {
		var changes []record.Change
		for bytes := 0; bytes < 1<<20 && d < documents; d++ {
			more := patch(benchKey(d))
			for u := range updates {
				text := noise(rng, size/updates)
				bytes += len(text)
				if u == 0 {
					feedOnly(b, s, log, initial(benchKey(d), contract.Update{SeqEnd: 1, Redo: text, UpdateType: contract.Internal}))
					continue
				}
				seq := int32(u) + 1
				more.Updates = append(more.Updates, contract.Update{SeqBegin: seq, SeqEnd: seq, Redo: text, UpdateType: contract.Internal})
			}
			if updates > 1 {
				changes = append(changes, more)
			}
		}
		feedOnly(b, s, log, changes...)
	}
}

func noise(rng *rand.Rand, size int) string {
	text := []byte(`{"fields":[`)
	for len(text) < size {
		text = fmt.Appendf(text, `{"name":"field","value":%d},`, rng.Uint32())
	}
	return string(append(text[:len(text)-1], "]}"...))
}
