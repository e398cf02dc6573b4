package repair

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"trireme/internal/layout"
)

func FuzzFrame(f *testing.F) {
	for _, kind := range []frameKind{frameHead, frameData, frameEnd, 'Z'} {
		b := make([]byte, frameSize, 20)
		putFrame(b, kind, 7)
		f.Add(append(b, "body"...))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := parseFrame(b)
		if err != nil {
			return
		}
		again := append(make([]byte, frameSize), fr.body...)
		putFrame(again, fr.kind, fr.number)
		if !bytes.Equal(again, b) {
			t.Errorf("%x is read as %v and written as %x", b, fr, again)
		}
	})
}

type item struct {
	kind    itemKind
	content string
}

// itemsOf cuts data into items, all of it at once: the twin of [assembler].
func itemsOf(data []byte, maxImage int) (items []item, rest bool, bad bool) {
	for len(data) >= itemSize {
		kind, n := itemKind(data[0]), int(binary.BigEndian.Uint32(data[1:]))
		limit, known := map[itemKind]int{itemImage: maxImage, itemAbsent: 0, itemDamaged: maxDamageText}[kind]
		if !known || n > limit {
			return items, false, true
		}
		if len(data) < itemSize+n {
			return items, true, false
		}
		items = append(items, item{kind, string(data[itemSize:][:n])})
		data = data[itemSize+n:]
	}
	return items, len(data) > 0, false
}

func FuzzAssembler(f *testing.F) {
	data := append(appendItemHead(nil, itemImage, 5), "image"...)
	data = appendItemHead(data, itemAbsent, 0)
	data = append(appendItemHead(data, itemDamaged, 3), "rot"...)
	f.Add(data, uint16(1))
	f.Add(data, uint16(7))
	f.Add(data[:7], uint16(3))
	f.Add(appendItemHead(nil, itemImage, 1<<31), uint16(100))
	f.Add(appendItemHead(nil, 'Z', 0), uint16(100))
	f.Fuzz(func(t *testing.T, data []byte, piece uint16) {
		const maxImage = 1 << 16
		want, rest, bad := itemsOf(data, maxImage)
		a := assembler{maxImage: maxImage}
		var got []item
		var err error
		for left := data; len(left) > 0 && err == nil; {
			n := min(max(int(piece), 1), len(left))
			err = a.feed(bytes.Clone(left[:n]), func(kind itemKind, content []byte) error {
				got = append(got, item{kind, string(content)})
				return nil
			})
			left = left[n:]
		}
		if (err != nil) != bad || len(got) != len(want) || !bad && a.between() == rest {
			t.Fatalf("%x in pieces of %d: %d items, between %v, %v; want %d, rest %v, bad %v", data, piece, len(got), a.between(), err, len(want), rest, bad)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("item %d is %v, want %v", i, got[i], want[i])
			}
		}
	})
}

// FuzzAsk reads requests. One that is read and passes its check is read again from what
// it is written as.
func FuzzAsk(f *testing.F) {
	for _, text := range []string{
		"", "{}", " ", "null", "[]", `{"version":1,"from":"h2","layout":3,"layout_digest":"00"}`, `{"version":2,"news":1}`, `{"stripes":["s1"],"partitions":true}`,
		`{"stripe":"s1","birth":1,"partitions":[7,8]}`, `{"bucket":7,"after":{"space":"s","key":"k"},"limit":9}`, `{"space":"s","key":"k"}`,
		`{"documents":[{"space":"s","key":"k"}],"pull":"x","window":1}`, `{"pull":"x","taken":18446744073709551615,"stop":true}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzAsk[rootsAsk](t, b)
		fuzzAsk[standAsk](t, b)
		fuzzAsk[bucketsAsk](t, b)
		fuzzAsk[indexAsk](t, b)
		fuzzAsk[documentAsk](t, b)
		fuzzAsk[documentsAsk](t, b)
		if _, err := parseAsk[creditAsk](b); err != nil && !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
	})
}

func fuzzAsk[T any, P interface {
	*T
	ask
}](t *testing.T, b []byte) {
	t.Helper()
	a, err := parseAsk[T](b)
	if err == nil {
		err = P(&a).check()
	}
	if err != nil {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v, which is no refusal", b, err)
		}
		return
	}
	first := marshal(t, a)
	again, err := parseAsk[T](first)
	if second := marshal(t, again); err != nil || !bytes.Equal(first, second) {
		t.Errorf("%q is read as %s, and that as %s: %v", b, first, second, err)
	}
}

// FuzzTell reads answers. What passes the checks has what was asked for.
func FuzzTell(f *testing.F) {
	source, wants := filled(f, 10, 20)
	l, sum := source.Layout()
	now := &scene{source: source, host: "h1", layout: l, digest: sum, counts: &serverCounts{}, indexBytes: maxIndexBytes}
	k := wants[0].Key
	b := bucketOf(k)
	part, _ := l.PartitionOf(b)
	add := func(tell any, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(marshal(f, tell))
	}
	add(now.roots(&rootsAsk{Stripes: []string{"s2"}, Partitions: true}))
	add(now.stand(&standAsk{stripeAsked: stripeAsked{Stripe: "s2"}}))
	add(now.buckets(&bucketsAsk{Partitions: []layout.PartitionID{part.ID}}))
	add(now.index(&indexAsk{Bucket: b}))
	add(now.document(&documentAsk{Key: k}))
	add(headTell{telling: now.telling(), Documents: 2, Window: 5}, nil)
	add(endTell{Items: 2, Data: 9, Refusal: &refusalTold{Code: CodeSick, Message: "sick", RetryMS: 9}}, nil)
	e := expected{host: "h1", layout: &l, digest: sum}
	asked := stripeAsked{"s2", 2}
	f.Fuzz(func(t *testing.T, body []byte) {
		var roots rootsTell
		if parseTell(body, &roots) == nil {
			if got, err := roots.check(e, []string{"s2"}, true); err == nil && len(got) > 1 {
				t.Errorf("%s has %d stripes", body, len(got))
			}
		}
		var stand standTell
		if parseTell(body, &stand) == nil {
			if at, err := stand.check(e, asked); err == nil && at.Epoch.Seq > at.Seq && at.Epoch.Birth == 2 {
				t.Errorf("%s stands at %v", body, at)
			}
		}
		var states bucketsTell
		if parseTell(body, &states) == nil {
			side, got, err := states.check(e, asked, []layout.PartitionID{part.ID})
			if err == nil && (side.Applied.Birth != 2 || len(got) != int(part.Last-part.First)+1) {
				t.Errorf("%s has %d buckets as of %v", body, len(got), side)
			}
		}
		var index indexTell
		if parseTell(body, &index) == nil {
			if _, docs, err := index.check(e, asked, b, nil); err == nil {
				for i, d := range docs {
					if bucketOf(d.Key) != b || i > 0 && docs[i-1].Key.Compare(d.Key) >= 0 || d.Absent() {
						t.Errorf("%s lists %v", body, d)
					}
				}
			}
		}
		var doc documentTell
		if parseTell(body, &doc) == nil {
			if got, err := doc.check(e, asked, k); err == nil && (got.Doc.Key != k || got.Image < 0) {
				t.Errorf("%s is %v", body, got)
			}
		}
	})
}

// FuzzPull has a peer send anything, cut into messages: what is handed on is true, and
// nothing else happens but an error of a kind that is known.
func FuzzPull(f *testing.F) {
	source, wants := filled(f, 100, 2_000, 0)
	good := truth(f, source, wants)
	good.chunk = 500
	join := func(frames [][]byte) (all []byte) {
		for _, b := range frames {
			all = append(binary.BigEndian.AppendUint16(all, uint16(len(b))), b...)
		}
		return all
	}
	frames := good.frames(f, "pull")
	f.Add(join(frames))
	f.Add(join(frames[1:]))
	f.Add(join(append(frames[:2:2], frames[4:]...)))
	f.Add(join([][]byte{frames[0], frames[len(frames)-1]}))
	l, sum := source.Layout()
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &Peer{Layout: func() (layout.Layout, string) { return l, sum }}
		s := &pull{call: p.call("h1"), wants: wants, name: "pull", window: 1 << 30, stripe: stripeAsked{"s2", 2}, items: assembler{maxImage: 1 << 20}}
		s.visit = func(d *Pulled) error {
			if d.Want != wants[s.came-1] || d.Doc.Key != d.Want.Key || d.Doc.Position != d.Want.Position || d.Doc.Digest != d.Want.Digest {
				t.Errorf("handed on was %v for %v", d.Doc, d.Want)
			}
			return nil
		}
		for len(b) >= 2 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			m := &nats.Msg{Data: b[2:][:n]}
			b = b[2+n:]
			err := s.hear(m)
			if errors.Is(err, errPullEnded) {
				if s.came != len(wants) && !bytes.Contains(m.Data, []byte(`"more"`)) {
					t.Errorf("the pull is over after %d documents", s.came)
				}
				return
			}
			if err != nil {
				if !errors.Is(err, ErrGarbage) && !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrLayout) && !errors.Is(err, ErrRefused) {
					t.Errorf("%v", err)
				}
				return
			}
		}
	})
}

// FuzzRefusal reads refusals.
func FuzzRefusal(f *testing.F) {
	f.Add("409", "sick", []byte(`{"code":409,"message":"sick","retry_ms":500}`))
	f.Add("x", "", []byte(`{"code":0}`))
	f.Add("", "y", []byte(`{"retry_ms":-9223372036854775808,"code":1}`))
	c := (&Peer{Layout: func() (layout.Layout, string) { return layout.Layout{}, "" }}).call("h1")
	f.Fuzz(func(t *testing.T, code, text string, body []byte) {
		m := nats.NewMsg("x")
		m.Header["Nats-Service-Error-Code"], m.Header["Nats-Service-Error"], m.Data = []string{code}, []string{text}, body
		err := c.refused(m)
		r, ok := errors.AsType[*RefusedError](err)
		if (code != "" || text != "") != ok || ok && (r.Code == 0 || r.Retry < 0 || r.Retry > maxRetry || len(r.Why) > max(maxRefusalText, len(text))) {
			t.Errorf("%q %q %q is %#v", code, text, body, err)
		}
		if !ok {
			return
		}
		again := nats.NewMsg("x")
		r.write(again)
		if s, ok := errors.AsType[*RefusedError](c.refused(again)); !ok || s.Code != r.Code || s.Retry != r.Retry && json.Valid(body) {
			t.Errorf("%v is sent on as %v", r, s)
		}
	})
}
