package buckets

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/record"
)

// manifestOf writes records as Pebble writes its MANIFEST.
func manifestOf(t *testing.T, records ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := record.NewWriter(&b)
	for _, r := range records {
		in, err := w.Next()
		if err == nil {
			_, err = in.Write(slices.Clone(r))
		}
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// logOf writes records as Pebble writes a write-ahead log that it closes: of each
// a chunk for what fits in a block.
func logOf(number uint32, records ...[]byte) []byte {
	var b []byte
	for _, r := range records {
		for first := true; first || len(r) > 0; first = false {
			if room := chunkBlock - len(b)%chunkBlock; room < 19 {
				b = append(b, make([]byte, room)...)
			}
			n := min(len(r), chunkBlock-len(b)%chunkBlock-19)
			kind := map[[2]bool]byte{{true, true}: 9, {true, false}: 10, {false, false}: 11, {false, true}: 12}[[2]bool{first, n == len(r)}]
			at := len(b)
			b = append(b, 0, 0, 0, 0)
			b = binary.LittleEndian.AppendUint16(b, uint16(n))
			b = binary.LittleEndian.AppendUint32(append(b, kind), number)
			b = binary.LittleEndian.AppendUint64(b, 0)
			b = append(b, r[:n]...)
			binary.LittleEndian.PutUint32(b[at:], cooked(crc(b[at+6:])))
			r = r[n:]
		}
	}
	return binary.LittleEndian.AppendUint32(append(b, 0, 0, 0, 0, 0, 0, 5), number+1)
}

// readChunks reads records as Pebble does, and how they end.
func readChunks(file []byte, number uint32) (records []string, end error) {
	r := record.NewReader(bytes.NewReader(file), 0)
	if number != 0 {
		r = record.NewReader(bytes.NewReader(file), 6)
	}
	for {
		in, err := r.Next()
		if err != nil {
			return records, err
		}
		b, err := io.ReadAll(in)
		if err != nil {
			return records, err
		}
		records = append(records, string(b))
	}
}

func chunkRecords() [][]byte {
	rng := rand.New(rand.NewPCG(3, 4))
	records := [][]byte{{}, {0}}
	for _, n := range []int{1, 100, 507, 1000, 32 << 10, 40, 3} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		records = append(records, b)
	}
	return records
}

// headerBits are all bits of the chunks' headers and the bytes around them, and
// some of their payloads.
func headerBits(file []byte) (bits []int) {
	near := map[int]bool{}
	for at := 0; len(file)-at >= chunkHeader; {
		c := chunkAt(file, at)
		for i := max(0, at-8); i < min(at+24, len(file)); i++ {
			near[i] = true
		}
		if at += c.size; c.room < chunkHeader || c.header == 0 {
			at += c.room - c.size
		}
	}
	for at := range file {
		if near[at] || at%397 == 0 || at > len(file)-20 {
			for bit := range 8 {
				bits = append(bits, 8*at+bit)
			}
		}
	}
	return bits
}

// TestManifestFlips: whichever bit of a MANIFEST is flipped, it is noticed, or
// Pebble reads what was written.
func TestManifestFlips(t *testing.T) {
	records := chunkRecords()
	file := manifestOf(t, records...)
	want, end := readChunks(file, 0)
	if err := checkManifest(file); err != nil || len(want) != len(records) || !errors.Is(end, io.EOF) {
		t.Fatalf("whole: %v; Pebble reads %d of %d records, %v", err, len(want), len(records), end)
	}
	for _, bit := range headerBits(file) {
		damaged := flip(file, bit)
		err := checkManifest(damaged)
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if got, _ := readChunks(damaged, 0); err != nil || !slices.Equal(got, want) {
			t.Fatalf("bit %d at offset %d: %v, and Pebble reads %d of %d records", bit%8, bit/8, err, len(got), len(want))
		}
	}
}

// TestManifestTorn: what a crash leaves of the last write is no damage.
func TestManifestTorn(t *testing.T) {
	records := chunkRecords()
	for n := range records {
		before, file := manifestOf(t, records[:n]...), manifestOf(t, records[:n+1]...)
		for cut := len(before); cut <= len(file); cut++ {
			if cut > len(before)+600 && cut < len(file)-600 {
				continue
			}
			if err := checkManifest(file[:cut]); err != nil {
				t.Fatalf("record %d, cut at %d of %d: %v", n, cut, len(file), err)
			}
			zeros := append(slices.Clone(file[:cut]), make([]byte, len(file)-cut)...)
			if err := checkManifest(zeros); err != nil && cut%sector == 0 && len(file)-cut >= 8 {
				t.Fatalf("record %d, zeros from %d of %d on: %v", n, cut, len(file), err)
			}
		}
	}
}

// TestLogFlips: no flipped bit makes Pebble take the middle of a log for its end
// without that being noticed.
func TestLogFlips(t *testing.T) {
	const number = 6
	var records [][]byte
	for i := range 30 { // short ones: Pebble spends long on a checksum that does not fit
		records = append(records, bytes.Repeat([]byte{byte(i), 7, 0}, i))
	}
	file := logOf(number, records...)
	want, end := readChunks(file, number)
	if err := checkLog(file, number); err != nil || len(want) != len(records) || !errors.Is(end, io.EOF) {
		t.Fatalf("whole: %v; Pebble reads %d of %d records, %v", err, len(want), len(records), end)
	}
	silent := 0
	for _, bit := range headerBits(file) {
		damaged := flip(file, bit)
		got, end := readChunks(damaged, number)
		if slices.Equal(got, want) || !errors.Is(end, io.EOF) {
			continue
		}
		silent++
		if err := checkLog(damaged, number); !errors.Is(err, ErrDamaged) {
			t.Fatalf("bit %d at offset %d: Pebble reads %d of %d records and takes that for all: %v", bit%8, bit/8, len(got), len(want), err)
		}
	}
	if silent == 0 {
		t.Error("Pebble has noticed every flip itself: is the check of logs of any use?")
	}
	for cut := range file {
		if err := checkLog(file[:cut], number); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte{})
	f.Add(logOf(6, []byte("record")))
	f.Add(make([]byte, 2*chunkBlock))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, err := range []error{checkManifest(file), checkLog(file, 6)} {
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Error(fmt.Errorf("a file that is only damaged: %w", err))
			}
		}
	})
}
