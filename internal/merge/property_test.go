package merge_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tree draws a value as the twin holds it. Few keys, so that patches meet.
func tree(t *rapid.T, keys []string, depth int) any {
	kinds := 8
	if depth == 0 {
		kinds = 5
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0, 1:
		return nil
	case 2:
		return rapid.Bool().Draw(t, "bool")
	case 3:
		return json.Number(rapid.SampledFrom([]string{"0", "-1", "1.50", "1e5", "12345678901234567890"}).Draw(t, "number"))
	case 4:
		return rapid.SampledFrom([]string{"", "a", "é", "\n", `"`, `\`, "😀", "/"}).Draw(t, "string")
	case 5:
		return pairs{}
	case 6:
		array := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			array = append(array, tree(t, keys, depth-1))
		}
		return array
	default:
		return object(t, keys, depth)
	}
}

func object(t *rapid.T, keys []string, depth int) pairs {
	object := pairs{}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, min(len(keys), 40), rapid.ID[string])
	for _, key := range some.Draw(t, "keys") {
		object = append(object, pair{key, tree(t, keys, depth-1)})
	}
	return object
}

// chain draws a document and patches, mostly objects as in life.
func chain(t *rapid.T) []any {
	keys := []string{"a", "b", "", "é", "😀"}
	if rapid.Bool().Draw(t, "many keys") {
		keys = nil
		for i := range 40 {
			keys = append(keys, fmt.Sprint("k", i))
		}
	}
	var trees []any
	for range rapid.IntRange(2, 12).Draw(t, "texts") {
		if rapid.IntRange(0, 9).Draw(t, "any") == 0 {
			trees = append(trees, tree(t, keys, 2))
		} else {
			trees = append(trees, object(t, keys, 2))
		}
	}
	return trees
}

// texts renders a chain in one style.
func texts(t *rapid.T, trees []any, s style) []string {
	var all []string
	for _, v := range trees {
		var out strings.Builder
		render(t, &out, v, s)
		all = append(all, out.String())
	}
	return all
}

// lenient is the style of a writer that uses the dialect to the full.
type lenient struct{ t *rapid.T }

func (l lenient) blank() string {
	return rapid.SampledFrom([]string{"", "", "", " ", ",", ":", "\n\t", ",,", "\r"}).Draw(l.t, "blank")
}

func (l lenient) comma() string {
	return rapid.SampledFrom([]string{",", " ", ":", ",,", "\n"}).Draw(l.t, "comma")
}

func (l lenient) colon() string {
	return rapid.SampledFrom([]string{":", "", " ", ",", "::"}).Draw(l.t, "colon")
}

func (l lenient) quoted(plain string) string {
	switch plain {
	case `"a"`:
		return rapid.SampledFrom([]string{plain, `"\u0061"`}).Draw(l.t, "escape")
	case `"😀"`:
		return rapid.SampledFrom([]string{plain, `"\ud83d\ude00"`, `"\uD83D\uDE00"`}).Draw(l.t, "escape")
	case `"é"`:
		return rapid.SampledFrom([]string{plain, `"\u00e9"`, `"\u00E9"`}).Draw(l.t, "escape")
	}
	return plain
}

func (l lenient) repeats(key string) []string {
	if rapid.IntRange(0, 5).Draw(l.t, "repeat") > 0 {
		return nil
	}
	return []string{key + `:{"a":1},`, key + `null `}
}

func TestFoldIsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := texts(t, chain(t), compact{})
		dropNulls := rapid.Bool().Draw(t, "drop nulls")
		got, err := foldAll(dropNulls, all...)
		if err != nil {
			t.Fatalf("fold %q: %v", all, err)
		}
		if want := twinFold(t, dropNulls, all...); got != want {
			t.Fatalf("fold %q\ngot  %s\nwant %s", all, got, want)
		}
	})
}

// Of a text written loosely the same comes out, but for the tokens of keys.
// The repeats inside arrays are not merged away; encoding/json does that when
// the output is read back.
func TestLenientTextsMeanTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trees := chain(t)
		loose := texts(t, trees, lenient{t})
		dropNulls := rapid.Bool().Draw(t, "drop nulls")
		got, err := foldAll(dropNulls, loose...)
		if err != nil {
			t.Fatalf("fold %q: %v", loose, err)
		}
		if !json.Valid([]byte(got)) {
			t.Fatalf("fold %q\nis not JSON: %s", loose, got)
		}
		want := twinFold(t, dropNulls, texts(t, trees, compact{})...)
		if again := twinWrite(t, twinRead(t, got)); again != want {
			t.Fatalf("fold %q\ngot  %s\nwant %s", loose, again, want)
		}
	})
}

// What the caching of merged texts rests on: any prefix may be folded first.
func TestFoldIsIncremental(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := texts(t, chain(t), lenient{t})
		dropNulls := rapid.Bool().Draw(t, "drop nulls")
		whole, err := foldAll(dropNulls, all...)
		if err != nil {
			t.Fatalf("fold %q: %v", all, err)
		}
		cut := rapid.IntRange(1, len(all)).Draw(t, "cut")
		merged, err := foldAll(dropNulls, all[:cut]...)
		if err != nil {
			t.Fatalf("fold %q: %v", all[:cut], err)
		}
		got, err := foldAll(dropNulls, append([]string{merged}, all[cut:]...)...)
		if err != nil || got != whole {
			t.Fatalf("cut %d of %q\ngot  %s, %v\nwant %s", cut, all, got, err, whole)
		}
	})
}

// A patch applied twice changes no value the second time (a null key may move
// once more, so the order can change), and nothing at all the third time.
func TestPatchTwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := texts(t, chain(t), compact{})
		last := all[len(all)-1]
		once := fold(t, all...)
		twice := fold(t, append(all, last)...)
		thrice := fold(t, append(all, last, last)...)
		if !reflect.DeepEqual(plain(t, once), plain(t, twice)) || twice != thrice {
			t.Fatalf("%q\nonce   %s\ntwice  %s\nthrice %s", all, once, twice, thrice)
		}
	})
}

// Folding patches among themselves first is another thing, as the package says.
func TestPatchesAreNotAssociative(t *testing.T) {
	document, first, second := `{"x":{"z":0}}`, `{"x":1}`, `{"x":{"y":2}}`
	if got := fold(t, document, first, second); got != `{"x":{"y":2}}` {
		t.Errorf("one after the other: %s", got)
	}
	if got := fold(t, document, fold(t, first, second)); got != `{"x":{"z":0,"y":2}}` {
		t.Errorf("patches first: %s", got)
	}
}
