package merge_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"trireme/internal/merge"
)

// document is about 4 KB: some fields, and a table of rows as Adama writes it.
func document() []byte {
	var out strings.Builder
	out.WriteString(`{"title":"a document","turn":0,"rows":{`)
	for i := range 40 {
		if i > 0 {
			out.WriteString(",")
		}
		fmt.Fprintf(&out, `"%d":{"id":%d,"name":"player %d","score":"%d","tags":["x","y"],"state":{"at":[1,2],"on":true}}`, i, i, i, i*1000)
	}
	out.WriteString(`}}`)
	return []byte(out.String())
}

// patch is about 150 bytes: a few fields, a row changed, a message that comes or goes.
func patch(i int) []byte {
	message := `null`
	if i%3 > 0 {
		message = `{"who":"alice","text":"caf\u00e9 number 17"}`
	}
	return fmt.Appendf(nil, `{"turn":%d,"rows":{"%d":{"score":"%d","state":{"on":false,"at":[%d,4]}}},"messages":{"%d":%s},"__seq":%d,"__entropy":"83746%d"}`,
		i, i%40, i*7, i, i%10, message, i, i*31)
}

func patches(n int) (all [][]byte, bytes int) {
	all = append(all, document())
	for i := range n {
		all = append(all, patch(i))
	}
	for _, text := range all {
		bytes += len(text)
	}
	return all, bytes
}

func BenchmarkFold(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n, "patches"), func(b *testing.B) {
			all, bytes := patches(n)
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := merge.Fold(all...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecode is what encoding/json takes only to read the same texts.
func BenchmarkDecode(b *testing.B) {
	all, bytes := patches(1000)
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		for _, text := range all {
			var v map[string]any
			if err := json.Unmarshal(text, &v); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkLongString is the speed over a large text that is one token.
func BenchmarkLongString(b *testing.B) {
	text := []byte(`{"request":"` + strings.Repeat("0123456789", 100_000) + `"}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := merge.Fold([]byte(`{}`), text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkManyKeys is one object of 100,000 members, and a patch of half of them.
func BenchmarkManyKeys(b *testing.B) {
	object := func(step int) []byte {
		var out strings.Builder
		out.WriteString("{")
		for i := 0; i < 100_000; i += step {
			fmt.Fprintf(&out, `"%d":%d `, i, i)
		}
		return []byte(out.String() + "}")
	}
	all, half := object(1), object(2)
	b.SetBytes(int64(len(all) + len(half)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := merge.Fold(all, half); err != nil {
			b.Fatal(err)
		}
	}
}
