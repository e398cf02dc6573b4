package repair

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"trireme/buckets"
	"trireme/embedded"
	"trireme/internal/contract"
	"trireme/internal/layout"
)

// twoServers are one cluster on loopback, one for each side of a pull.
func twoServers(b testing.TB) (from, to *embedded.Server) {
	b.Helper()
	var routes []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		routes = append(routes, l.Addr().String())
	}
	var servers []*embedded.Server
	for i, route := range routes {
		s := &embedded.Server{
			Name: fmt.Sprintf("h%d", i+1), Dir: b.TempDir(), Listen: "127.0.0.1:-1",
			Cluster: &embedded.Cluster{Name: "bench", Listen: route, Routes: routes},
		}
		servers = append(servers, s)
	}
	return servers[0], servers[1]
}

// crowded is a source with documents of one size, so many to a bucket as a large host
// has, and what the index of each bucket says.
func crowded(b *testing.B, count, size int) (source *servedStore, indexes [][]Want) {
	b.Helper()
	source = newServedStore(b, six())
	w := source.writer(b, "s2")
	const each = 512
	first := source.layout.Load().PartitionsOf("s2")[0].First
	found := map[layout.Bucket]int{}
	for i, n := 0, 0; n < count; i++ {
		k := contract.Key{Space: "space", Key: fmt.Sprintf("key-%08d", i)}
		if at := bucketOf(k); at >= first && int(at-first) < max(1, count/each) && found[at] < each {
			found[at]++
			n++
			w.batch(b, create(k, size))
		}
	}
	if err := source.store.Checkpoint(); err != nil {
		b.Fatal(err)
	}
	m, err := w.r.Moment()
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for at := range found {
		docs, _, err := m.Index(at, contract.Key{}, each)
		if err != nil {
			b.Fatal(err)
		}
		var wants []Want
		for _, d := range docs {
			wants = append(wants, Want{d.Key, d.Position, d.Digest})
		}
		indexes = append(indexes, wants)
	}
	return source, indexes
}

// BenchmarkDocuments pulls from one host's store through two servers, bucket after
// bucket and several at a time: the images alone, and into another store.
func BenchmarkDocuments(b *testing.B) {
	from, to := twoServers(b)
	for _, s := range []*embedded.Server{from, to} {
		if err := s.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		defer s.Close()
	}
	for _, size := range []int{64 << 10, 4 << 10} {
		source, indexes := crowded(b, 128<<20/size, size)
		s := &Server{Conn: logConn(b, from), Host: "h1", Source: source}
		if err := s.Start(); err != nil {
			b.Fatal(err)
		}
		p := asker(logConn(b, to), source)
		reached(b, "answered", func() error { _, err := p.Roots(b.Context(), "h1"); return err })
		for _, parallel := range []int{1, 4} {
			b.Run(fmt.Sprintf("size=%d/parallel=%d/images", size, parallel), func(b *testing.B) {
				for b.Loop() {
					benchPull(b, p, indexes, parallel, func(*Pulled) error { return nil })
				}
			})
			b.Run(fmt.Sprintf("size=%d/parallel=%d/put", size, parallel), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					target := newServedStore(b, six())
					r, _, _ := target.Stripe("s2")
					b.StartTimer()
					benchPut(b, p, indexes, parallel, r)
				}
			})
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// benchPull pulls buckets, several at a time. Beside the rate on the clock it tells that
// on the processor, which others do not disturb: all of client, both servers and store.
func benchPull(b *testing.B, p *Peer, indexes [][]Want, parallel int, visit func(*Pulled) error) {
	b.Helper()
	var bytes, docs atomic.Int64
	queue := make(chan []Want, len(indexes))
	for _, wants := range indexes {
		queue <- wants
	}
	close(queue)
	began, cpu := time.Now(), cpuTime()
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for wants := range queue {
				_, err := p.Documents(b.Context(), "h1", "s2", wants, func(d *Pulled) error {
					bytes.Add(int64(d.Image.Size()))
					docs.Add(1)
					return visit(d)
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	b.SetBytes(bytes.Load())
	b.ReportMetric(float64(docs.Load())/time.Since(began).Seconds(), "docs/s")
	b.ReportMetric(float64(bytes.Load())/1e6/(cpuTime()-cpu).Seconds(), "MB/cpu-s")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchPut(b *testing.B, p *Peer, indexes [][]Want, parallel int, r *buckets.Replica) {
	b.Helper()
	var mu sync.Mutex
	var list []buckets.Put
	size := 0
	put := func() error {
		_, err := r.Put(list)
		list, size = list[:0], 0
		return err
	}
	benchPull(b, p, indexes, parallel, func(d *Pulled) error {
		mu.Lock()
		defer mu.Unlock()
		list, size = append(list, buckets.Put{Image: d.Image, AsOf: d.Side.Applied}), size+d.Image.Size()
		if size < 1<<20 {
			return nil
		}
		return put()
	})
	if err := put(); err != nil {
		b.Fatal(err)
	}
}
