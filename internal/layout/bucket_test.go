package layout

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/minio/highwayhash"
)

// published are the test vectors of the bucket hash. They were confirmed with a second
// implementation of HighwayHash-64; a change here moves documents.
var published = []struct {
	space, key string
	hash       uint64
	bucket     Bucket
}{
	{"a", "b", 0x0d67d136bb01bc10, 857},
	{"b", "a", 0x7d1feb36abab45f7, 8007},
	{"ab", "c", 0x35737779a22b0193, 3420},
	{"a", "bc", 0xe93a0d8176373862, 14926},
	{"chat", "room-1", 0xac352a505ae02ae3, 11021},
	{"chat", "room-2", 0x5b8bc741830d6405, 5858},
	{"Chat", "room-1", 0x64b5b0ec3ed408e3, 6445},
	{"space", "key with blanks", 0x70fda205cb2ca569, 7231},
	{"a", "b\x00c", 0xdeae9f5020ad8b61, 14251},
	{"a\x00b", "c", 0xdeae9f5020ad8b61, 14251},
	{"räume", "schlüssel", 0xc1715104347e1513, 12380},
	{"部屋", "鍵", 0xb56d73a032d6d5d5, 11611},
	{"🙂", "🙃", 0xa9a4c7367edf8138, 10857},
	{"game.prod_1", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", 0xea7e45457dbb6e94, 15007},
	{"", "", 0x81c1f32acb1189f9, 8304},
	{"a", "", 0xcd64b821f10987e1, 13145},
	{"", "a", 0xd1107823ea93b44b, 13380},
	{strings.Repeat("x", 95), strings.Repeat("y", 96), 0x9f308a95e926528b, 10188},
	{strings.Repeat("x", 95), strings.Repeat("y", 97), 0xbf2ceeeae6d31d9b, 12235},
	{strings.Repeat("s", 127), strings.Repeat("k", 511), 0xc663e5fd32de29cc, 12696},
	{strings.Repeat("s", 1024), strings.Repeat("k", 1024), 0x75cd20482098339e, 7539},
}

func TestBucketOfPublishedVectors(t *testing.T) {
	for _, v := range published {
		if got := BucketOf(v.space, v.key); got != v.bucket {
			t.Errorf("BucketOf(%.20q, %.20q) = %d, want %d", v.space, v.key, got, v.bucket)
		}
		if got := Bucket(v.hash >> bucketShift); got != v.bucket {
			t.Errorf("(%.20q, %.20q): bucket %d is not the top 14 bits of %016x", v.space, v.key, v.bucket, v.hash)
		}
	}
}

func TestPublishedFileSaysTheSame(t *testing.T) {
	raw, err := os.ReadFile("testdata/buckets.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		HashKey string `json:"hash_key"`
		Buckets int
		Vectors []struct {
			Space, Key, Hash string
			Bucket           Bucket
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if file.HashKey != HashKey || file.Buckets != Buckets || len(file.Vectors) != len(published) {
		t.Fatalf("file: key %q, %d buckets, %d vectors; code: %q, %d, %d",
			file.HashKey, file.Buckets, len(file.Vectors), HashKey, Buckets, len(published))
	}
	for i, v := range file.Vectors {
		want := published[i]
		if v.Space != want.space || v.Key != want.key || v.Bucket != want.bucket || v.Hash != fmt.Sprintf("%016x", want.hash) {
			t.Errorf("vector %d: the file says %s, bucket %d; the code says %016x, bucket %d", i, v.Hash, v.Bucket, want.hash, want.bucket)
		}
	}
}

// TestHashIsHighwayHash64 holds the library to the reference vectors of the hash's authors.
func TestHashIsHighwayHash64(t *testing.T) {
	var key [32]byte
	for i := range key {
		key[i] = byte(i)
	}
	for data, want := range map[string]uint64{"": 0x907a56de22c26e53, "\x00": 0x7eab43aac7cddd78} {
		if got := highwayhash.Sum64([]byte(data), key[:]); got != want {
			t.Errorf("HighwayHash-64(%q) = %x, want %x", data, got, want)
		}
	}
}

func TestBucketOfSpreadsEvenly(t *testing.T) {
	const perBucket = 64
	var seen [Buckets]int
	for i := range Buckets * perBucket {
		seen[BucketOf("space", fmt.Sprintf("document-%d", i))]++
	}
	var chi2 float64
	for b, n := range seen {
		if n == 0 {
			t.Errorf("bucket %d got none of %d keys", b, Buckets*perBucket)
		}
		d := float64(n - perBucket)
		chi2 += d * d / perBucket
	}
	// For 16383 degrees of freedom the mean is 16383 and sigma is sqrt(2*16383) = 181;
	// the inputs are fixed, so five sigma on both sides never fail by chance.
	if chi2 < 16383-905 || chi2 > 16383+905 {
		t.Errorf("chi-square is %.0f, want 16383 +- 905", chi2)
	}
}

func TestBucketOfDoesNotAllocate(t *testing.T) {
	long := strings.Repeat("k", 1024)
	for _, key := range []string{"room-1", long} {
		if n := testing.AllocsPerRun(100, func() { BucketOf(long[:len(key)], key) }); n != 0 {
			t.Errorf("%v allocations for names of %d bytes", n, len(key))
		}
	}
	// Beyond the contract's limits it allocates, and still answers.
	if b := BucketOf(long+long, long+long); !b.Valid() {
		t.Errorf("bucket %d", b)
	}
}

func TestParseBucket(t *testing.T) {
	for b := range Bucket(Buckets) {
		if got, err := ParseBucket(b.String()); err != nil || got != b {
			t.Fatalf("ParseBucket(%q) = %d, %v", b.String(), got, err)
		}
	}
	for _, bad := range []string{"", "-1", "+1", "01", "16384", "65536", "1.0", "0x1", " 1", "a"} {
		if got, err := ParseBucket(bad); err == nil {
			t.Errorf("ParseBucket(%q) = %d, want an error", bad, got)
		}
	}
}

func BenchmarkBucketOf(b *testing.B) {
	for _, n := range []int{16, 64, 500, 1024} {
		name := strings.Repeat("k", n)
		b.Run(fmt.Sprintf("key=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				BucketOf("chat", name)
			}
		})
	}
}
