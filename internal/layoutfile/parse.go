package layoutfile

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"trireme/internal/conffile"
	"trireme/internal/layout"
)

// MaxBytes bounds the text of a layout.
const MaxBytes = 16 << 20

// Parse reads a layout and validates it. Every fault begins with name:line, and the
// error is [ErrInvalid].
//
// Includes and variables are refused: all hosts must read the same.
func Parse(name string, text []byte) (layout.Layout, error) {
	if len(text) > MaxBytes {
		return layout.Layout{}, &invalid{[]error{fmt.Errorf("%s: has more than %d bytes", name, MaxBytes)}}
	}
	p := parser{name: name, text: string(text)}
	l := p.parse()
	if len(p.faults) > 0 {
		slices.SortStableFunc(p.faults, func(a, b error) int { return cmp.Compare(p.line(a), p.line(b)) })
		return layout.Layout{}, &invalid{p.faults}
	}
	return l, nil
}

type parser struct {
	name   string
	text   string
	faults []error
}

func (p *parser) fault(place, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...)))
}

func (p *parser) parse() (l layout.Layout) {
	p.checkLines()
	values, err := conffile.Parse(p.name, []byte(p.text))
	if err != nil {
		p.faults = append(p.faults, p.explain(err))
		return l
	}
	d := conffile.NewDecoder(p.name)
	var end uint64
	d.Block("", values, map[string]conffile.Field{
		"version":    d.Count(math.MaxInt64, func(n uint64) { l.Version = n }),
		"hosts":      hosts(d, &l.Hosts),
		"stripes":    stripes(d, &l.Stripes),
		"partitions": partitions(d, &l.Partitions),
		"end":        d.Count(math.MaxInt64, func(n uint64) { end = n }),
	})
	if err := d.Err(); err != nil {
		p.faults = append(p.faults, each(err)...)
		return l
	}
	if len(p.faults) == 0 && end != l.Version {
		p.fault(d.Place("end"), "end: %d is not the version, %d; repeat it there, so that a half-written file is told from a whole one", end, l.Version)
	}
	for _, err := range each(l.Validate()) {
		field, _, _ := strings.Cut(err.Error(), ":")
		p.fault(d.Place(field), "%w", err)
	}
	return l
}

// each parts what [errors.Join] has joined.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

var (
	endLine   = regexp.MustCompile(`^end[ \t]*[:= \t][ \t]*[0-9]+[ \t\r]*$`)
	notShared = regexp.MustCompile(`\$|(?i:\binclude)(?:[ \t\r]|$)`)
	bareRange = regexp.MustCompile(`buckets["']?\s*[:=]?\s*[0-9]+-`)
)

// checkLines looks at what the parser does not tell: the last line, and what would
// come from elsewhere.
func (p *parser) checkLines() {
	lines := strings.Split(strings.TrimRight(p.text, " \t\r\n"), "\n")
	place := func(i int) string { return fmt.Sprintf("%s:%d", p.name, i+1) }
	for i, line := range lines {
		if found := notShared.FindString(code(line)); found != "" {
			p.fault(place(i), "%s: a layout has no includes and no variables, because all hosts must read the same; write it out", strings.TrimSpace(found))
		}
		if i < len(lines)-1 && endLine.MatchString(line) {
			p.fault(place(i), "end: stands before the end; leave it in the last line only")
		}
	}
	if !endLine.MatchString(lines[len(lines)-1]) {
		p.fault(place(len(lines)-1), "the last line is not `end: VERSION`: the file is half-written, or the line is missing; add it")
	}
}

// code is a line without its comment, and without what stands in quotes.
func code(line string) string {
	var b strings.Builder
	var quote byte
	for i := range len(line) {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#', strings.HasPrefix(line[i:], "//"):
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// line is where a fault stands, 0 where that is not known.
func (p *parser) line(fault error) int {
	rest, _ := strings.CutPrefix(fault.Error(), p.name+":")
	number, _, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return n
}

// explain adds a remedy to the commonest slip: the parser takes 0-255 for a date.
func (p *parser) explain(err error) error {
	lines := strings.Split(p.text, "\n")
	if n := p.line(err); n >= 1 && n <= len(lines) && bareRange.MatchString(lines[n-1]) {
		return fmt.Errorf("%w; put the range into quotes, as in \"0-255\"", err)
	}
	return err
}

func hosts(d *conffile.Decoder, to *[]layout.Host) conffile.Field {
	return d.List("{ name: h1, nats: ..., route: ..., http: ... }", func(key string, item any) {
		var h layout.Host
		d.Nested(map[string]conffile.Field{
			"name": d.Text(&h.Name), "nats": d.Text(&h.NATS), "route": d.Text(&h.Route),
			"http": d.Text(&h.HTTP), "adama": d.Text(&h.Adama),
		})(key, item)
		*to = append(*to, h)
	})
}

func stripes(d *conffile.Decoder, to *[]layout.Stripe) conffile.Field {
	return d.List("{ name: s1, birth: 1, replicas: 3, hosts: [h1, h2, h3] }", func(key string, item any) {
		var s layout.Stripe
		d.Nested(map[string]conffile.Field{
			"name":     d.Text(&s.Name),
			"birth":    d.Count(math.MaxUint32, func(n uint64) { s.Birth = uint32(n) }),
			"replicas": d.Int(&s.Replicas),
			"hosts": d.List("h1, h2, h3", func(key string, item any) {
				var host string
				d.Text(&host)(key, item)
				s.Hosts = append(s.Hosts, host)
			}),
		})(key, item)
		*to = append(*to, s)
	})
}

func partitions(d *conffile.Decoder, to *[]layout.Partition) conffile.Field {
	return d.List(`{ id: 0, buckets: "0-255", stripe: s1 }`, func(key string, item any) {
		var p layout.Partition
		known := map[string]conffile.Field{
			"id": d.Count(math.MaxUint32, func(n uint64) { p.ID = layout.PartitionID(n) }),
			"buckets": func(key string, value any) {
				var err error
				if p.First, p.Last, err = parseRange(conffile.Plain(value)); err != nil {
					d.Fault(value, "%s: %v", key, err)
				}
			},
			"stripe": d.Text(&p.Stripe),
		}
		d.Nested(known)(key, item)
		block, _ := conffile.Plain(item).(map[string]any)
		for _, must := range []string{"id", "buckets"} { // 0 would be taken for what was forgotten
			if _, ok := block[must]; !ok && block != nil {
				d.Fault(item, "%s.%s: is missing", key, must)
			}
		}
		*to = append(*to, p)
	})
}

var errRange = errors.New(`want a range of buckets in quotes, as in "0-255"`)

func parseRange(v any) (first, last layout.Bucket, err error) {
	text, ok := v.(string)
	if !ok {
		return 0, 0, fmt.Errorf("%v: %w", v, errRange)
	}
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		return 0, 0, fmt.Errorf("%q: %w", text, errRange)
	}
	if first, err = layout.ParseBucket(from); err != nil {
		return 0, 0, fmt.Errorf("%q: %w: %w", text, err, errRange)
	}
	if last, err = layout.ParseBucket(to); err != nil {
		return 0, 0, fmt.Errorf("%q: %w: %w", text, err, errRange)
	}
	return first, last, nil
}
