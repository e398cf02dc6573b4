package conffile

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A Field takes the value of a key.
type Field func(key string, value any)

// token is how the parser wraps a value to tell where it stands.
type token interface {
	Value() any
	Line() int
	SourceFile() string
	IsUsedVariable() bool
}

// A Decoder moves parsed values into fields and gathers the faults.
type Decoder struct {
	file   string
	faults []error
	lines  map[string]int // by key, as in log.max_bytes or clients[0].user
}

// NewDecoder returns a decoder for the values of a file of that name.
func NewDecoder(file string) *Decoder { return &Decoder{file: file, lines: make(map[string]int)} }

// Err returns every fault, joined, or nil.
func (d *Decoder) Err() error { return errors.Join(d.faults...) }

// Fault notes what is wrong with a value, with its place.
func (d *Decoder) Fault(at any, format string, args ...any) {
	place := d.file
	if t, ok := at.(token); ok {
		if t.SourceFile() != "" {
			place = t.SourceFile()
		}
		place = fmt.Sprintf("%s:%d", place, t.Line())
	}
	d.faults = append(d.faults, fmt.Errorf("%s: %s", place, fmt.Sprintf(format, args...)))
}

// Place returns file:line of a key in its full form, as in clients[0].user, or of the
// innermost block or list around it that is there; else the file.
func (d *Decoder) Place(key string) string {
	for key != "" {
		if line, ok := d.lines[strings.ToLower(key)]; ok {
			return fmt.Sprintf("%s:%d", d.file, line)
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return d.file
}

// Plain returns a value without what tells its place.
func Plain(v any) any {
	if t, ok := v.(token); ok {
		return t.Value()
	}
	return v
}

// Block hands every value to the field of its key, in the order of the keys.
func (d *Decoder) Block(prefix string, values map[string]any, fields map[string]Field) {
	for _, key := range sorted(values) {
		value := values[key]
		d.note(prefix+key, value)
		set := fields[strings.ToLower(key)]
		if set == nil {
			if t, ok := value.(token); ok && t.IsUsedVariable() {
				continue // a variable of the file's own
			}
			d.Fault(value, "%s%s is unknown: want one of %s", prefix, key, strings.Join(sorted(fields), ", "))
			continue
		}
		set(prefix+key, value)
	}
}

func (d *Decoder) note(key string, value any) {
	if t, ok := value.(token); ok {
		d.lines[strings.ToLower(key)] = t.Line()
	}
}

func sorted[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Nested takes a block with fields of its own.
func (d *Decoder) Nested(fields map[string]Field) Field {
	return func(key string, value any) {
		if block, ok := Plain(value).(map[string]any); ok {
			d.Block(key+".", block, fields)
			return
		}
		d.Fault(value, "%s: want a block { ... }", key)
	}
}

// List takes a list, and hands each item to item with a key like clients[0]. A
// sample says in faults what an item looks like.
func (d *Decoder) List(sample string, item Field) Field {
	return func(key string, value any) {
		list, ok := Plain(value).([]any)
		if !ok {
			d.Fault(value, "%s: want a list [ %s ]", key, sample)
			return
		}
		for i, v := range list {
			at := fmt.Sprintf("%s[%d]", key, i)
			d.note(at, v)
			item(at, v)
		}
	}
}

// Text takes a text.
func (d *Decoder) Text(to *string) Field {
	return func(key string, value any) {
		s, ok := Plain(value).(string)
		if !ok {
			d.Fault(value, "%s: %v is not a text", key, Plain(value))
			return
		}
		*to = s
	}
}

// Number takes a number of any size.
func (d *Decoder) Number(to *int64) Field {
	return func(key string, value any) {
		n, ok := Plain(value).(int64)
		if !ok {
			d.Fault(value, "%s: %v is not a number: write 1048576, 1024KB or 1GB", key, Plain(value))
			return
		}
		*to = n
	}
}

// Int takes a number of 32 bits.
func (d *Decoder) Int(to *int) Field {
	return func(key string, value any) {
		n, ok := Plain(value).(int64)
		if !ok || n > math.MaxInt32 || n < math.MinInt32 {
			d.Fault(value, "%s: %v is not a number up to %d", key, Plain(value), math.MaxInt32)
			return
		}
		*to = int(n)
	}
}

// Count takes a number from 0 to most.
func (d *Decoder) Count(most uint64, to func(n uint64)) Field {
	return func(key string, value any) {
		n, ok := Plain(value).(int64)
		if !ok || n < 0 || uint64(n) > most {
			d.Fault(value, "%s: %v is not a number from 0 to %d", key, Plain(value), min(most, math.MaxInt64))
			return
		}
		to(uint64(n))
	}
}

// Duration takes a duration with its unit.
func (d *Decoder) Duration(to *time.Duration) Field {
	return func(key string, value any) {
		t, err := duration(Plain(value))
		if err != nil {
			d.Fault(value, "%s: %v is not a duration: write 500ms, 15s or 2m", key, Plain(value))
			return
		}
		*to = t
	}
}

// million is what the parser makes of 1m, since it reads an m as that factor.
const million = 1_000_000

func duration(v any) (time.Duration, error) {
	switch v := v.(type) {
	case string:
		return time.ParseDuration(v)
	case int64:
		if v%million == 0 && v > 0 && v/million <= int64(math.MaxInt64/time.Minute) {
			return time.Duration(v/million) * time.Minute, nil
		}
	}
	return 0, errors.New("a number without a unit")
}
