package buckets

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"trireme/internal/contract"
	"trireme/internal/record"
)

const benchDocuments = 10_000

// benchHeads is the cache of heads in BenchmarkApply and BenchmarkDecide; -1 to
// see what it pays.
const benchHeads = 0

func benchKey(i int) contract.Key {
	return contract.Key{Space: "benchmark", Key: fmt.Sprintf("document-%06d", i)}
}

// benchUpdate is about 256 bytes of texts in one update, in Adama's proportions.
func benchUpdate(seq int32) contract.Update {
	u := update(seq, seq, fmt.Sprintf(`{"counter":%d,"last":"%s"}`, seq, strings.Repeat("x", 30)))
	u.Undo = u.Redo
	u.Request = `{"command":"send","message":"` + strings.Repeat("y", 88) + `"}`
	u.Who = &contract.Who{Agent: "agent", Authority: "authority"}
	return u
}

// benchStore is a store on disk with documents of about 4 KB.
func benchStore(b *testing.B, documents int, opts Options) (*Store, *stripeLog) {
	s, err := Open(b.TempDir(), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { closed(b, s) })
	log := newLog()
	fillDocuments(b, s, log, documents)
	return s, log
}

func fillDocuments(b *testing.B, s *Store, log *stripeLog, documents int) {
	var text strings.Builder
	for f := range 60 {
		fmt.Fprintf(&text, `,"field-%d":"%s"`, f, strings.Repeat("z", 50))
	}
	var changes []record.Change
	for i := range documents {
		changes = append(changes, initial(benchKey(i), update(0, 1, "{"+text.String()[1:]+"}")))
		if len(changes) == 256 || i == documents-1 {
			feedOnly(b, s, log, changes...)
			changes = changes[:0]
		}
	}
}

// benchRecords makes records of n changes over all documents in turn.
func benchRecords(log *stripeLog, heads []int32, n, records int, id bool) [][]byte {
	start := len(log.bodies)
	next := rand.New(rand.NewPCG(1, 1)).Perm(len(heads))
	at := 0
	for range records {
		changes := make([]record.Change, n)
		for i := range changes {
			d := next[at%len(next)]
			at++
			heads[d]++
			changes[i] = patch(benchKey(d), benchUpdate(heads[d]))
			if id {
				changes[i].ID = fmt.Sprintf("%08x-%d", d, heads[d])
			}
		}
		log.time++
		log.batch(changes...)
	}
	return log.bodies[start:]
}

// cpuTime is what the process has used so far, compactions included: on a shared
// machine it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		for _, id := range []bool{false, true} {
			b.Run(fmt.Sprintf("changes=%d/id=%v", n, id), func(b *testing.B) {
				s, log := benchStore(b, benchDocuments, Options{MergedBytes: -1, HeadBytes: benchHeads})
				heads := make([]int32, benchDocuments)
				for i := range heads {
					heads[i] = 1
				}
				r, err := s.Replica("s1", birth)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				b.ResetTimer()
				var cpu time.Duration
				for done := 0; done < b.N; {
					b.StopTimer()
					records := benchRecords(log, heads, n, min(b.N-done, 1+4096/n), id)
					seq := r.Applied().Seq
					b.StartTimer()
					before := cpuTime(b)
					for i, body := range records {
						if err := r.Apply(seq+uint64(i)+1, body); err != nil {
							b.Fatal(err)
						}
					}
					cpu += cpuTime(b) - before
					done += len(records)
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "changes/s")
				b.ReportMetric(float64(b.N*n)/cpu.Seconds(), "changes/cpu-s")
				if r.Skipped() > 0 {
					b.Fatalf("%d skipped", r.Skipped())
				}
			})
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	s, _ := benchStore(b, benchDocuments, Options{MergedBytes: -1, HeadBytes: benchHeads})
	changes := make([]record.Change, benchDocuments)
	for i := range changes {
		changes[i] = withID(patch(benchKey(i), benchUpdate(2)), "request")
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Decide(&changes[rand.IntN(len(changes))]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGet reads 10,000 documents of 4 KB with 20 to 1000 retained redos,
// most of them with few, by Zipf; every tenth step is a patch instead.
func BenchmarkGet(b *testing.B) {
	const documents = 10_000
	dir := b.TempDir()
	heads := make([]int32, documents)
	s, err := Open(dir, Options{MergedBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	log := newLog()
	fillDocuments(b, s, log, documents)
	rng := rand.New(rand.NewPCG(2, 2))
	for d := range heads {
		heads[d] = 1
		c := patch(benchKey(d))
		for range int(20 * math.Pow(50, math.Pow(rng.Float64(), 2))) {
			heads[d]++
			u := benchUpdate(heads[d])
			u.Request = ""
			c.Updates = append(c.Updates, u)
		}
		feedOnly(b, s, log, c)
	}
	closed(b, s)
	for _, size := range []int64{-1, 4 << 20, 16 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("merged=%dMiB", max(0, size>>20)), func(b *testing.B) {
			s, err := Open(dir, Options{MergedBytes: size})
			if err != nil {
				b.Fatal(err)
			}
			defer closed(b, s)
			zipf := rand.NewZipf(rng, 1.1, 20, documents-1)
			var gets int
			var cpu time.Duration
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d := int(zipf.Uint64())
				if i%10 == 0 {
					heads[d]++
					feedOnly(b, s, log, patch(benchKey(d), benchUpdate(heads[d])))
					continue
				}
				before := cpuTime(b)
				if _, err := s.Get(benchKey(d)); err != nil {
					b.Fatal(err)
				}
				cpu += cpuTime(b) - before
				gets++
			}
			b.ReportMetric(float64(cpu.Microseconds())/float64(gets), "cpu-µs/get")
			if stats := s.CacheStats(); stats.Hits+stats.Misses > 0 {
				b.ReportMetric(100*float64(stats.Hits)/float64(stats.Hits+stats.Misses), "%hits")
			}
		})
	}
}

// feedOnly applies one more record and does not keep it.
func feedOnly(b *testing.B, s *Store, log *stripeLog, changes ...record.Change) {
	log.batch(changes...)
	log.feed(b, s)
	log.bodies[log.seq()-1] = nil
}
