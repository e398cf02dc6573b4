package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/conf"
)

// Load reads a file over the defaults. Every fault names file and line.
func Load(path string) (Config, error) {
	values, digest, err := conf.ParseFileWithChecksDigest(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	c := Default()
	d := decoder{file: path}
	d.block("", values, c.fields(&d))
	c.Digest = digest
	if err := errors.Join(d.faults...); err != nil {
		return Config{}, err
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// fields says where each key goes.
func (c *Config) fields(d *decoder) map[string]field {
	return map[string]field{
		"host":   d.text(&c.Host),
		"data":   d.text(&c.Data),
		"listen": d.text(&c.Listen),
		"http":   d.text(&c.HTTP),
		"log": d.nested(map[string]field{
			"max_bytes":  d.number(&c.Log.MaxBytes),
			"keep_bytes": d.number(&c.Log.KeepBytes),
		}),
		"store": d.nested(map[string]field{
			"cache_bytes":  d.number(&c.Store.CacheBytes),
			"merged_bytes": d.number(&c.Store.MergedBytes),
			"checkpoint":   d.duration(&c.Store.Checkpoint),
		}),
		"requests": d.nested(map[string]field{
			"hold":          d.duration(&c.Requests.Hold),
			"max_in_flight": d.int(&c.Requests.MaxInFlight),
			"max_bytes":     d.int(&c.Requests.MaxBytes),
		}),
		"disk":    d.nested(map[string]field{"reserve_bytes": d.number(&c.DiskReserve)}),
		"clients": d.clients(&c.Clients),
		"nats":    d.passOn(&c.NATS),
	}
}

// A field takes the value of a key.
type field func(key string, value any)

// token is how the parser wraps a value to tell where it stands.
type token interface {
	Value() any
	Line() int
	SourceFile() string
	IsUsedVariable() bool
}

// A decoder moves parsed values into fields and gathers the faults.
type decoder struct {
	file   string
	faults []error
}

func (d *decoder) fault(at any, format string, args ...any) {
	place := d.file
	if t, ok := at.(token); ok {
		if t.SourceFile() != "" {
			place = t.SourceFile()
		}
		place = fmt.Sprintf("%s:%d", place, t.Line())
	}
	d.faults = append(d.faults, fmt.Errorf("%s: %s", place, fmt.Sprintf(format, args...)))
}

func plain(v any) any {
	if t, ok := v.(token); ok {
		return t.Value()
	}
	return v
}

// block hands every value to the field of its key, in the order of the keys.
func (d *decoder) block(prefix string, values map[string]any, fields map[string]field) {
	known := make([]string, 0, len(fields))
	for key := range fields {
		known = append(known, key)
	}
	slices.Sort(known)
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		value := values[key]
		set := fields[strings.ToLower(key)]
		if set == nil {
			if t, ok := value.(token); ok && t.IsUsedVariable() {
				continue // a variable of the file's own
			}
			d.fault(value, "%s%s is unknown: want one of %s", prefix, key, strings.Join(known, ", "))
			continue
		}
		set(prefix+key, value)
	}
}

func (d *decoder) nested(fields map[string]field) field {
	return func(key string, value any) {
		if block, ok := plain(value).(map[string]any); ok {
			d.block(key+".", block, fields)
			return
		}
		d.fault(value, "%s: want a block { ... }", key)
	}
}

func (d *decoder) text(to *string) field {
	return func(key string, value any) {
		s, ok := plain(value).(string)
		if !ok {
			d.fault(value, "%s: %v is not a text", key, plain(value))
			return
		}
		*to = s
	}
}

func (d *decoder) number(to *int64) field {
	return func(key string, value any) {
		n, ok := plain(value).(int64)
		if !ok {
			d.fault(value, "%s: %v is not a number: write 1048576, 1024K or 1GB", key, plain(value))
			return
		}
		*to = n
	}
}

func (d *decoder) int(to *int) field {
	return func(key string, value any) {
		n, ok := plain(value).(int64)
		if !ok || n > math.MaxInt32 || n < math.MinInt32 {
			d.fault(value, "%s: %v is not a number up to %d", key, plain(value), math.MaxInt32)
			return
		}
		*to = int(n)
	}
}

func (d *decoder) duration(to *time.Duration) field {
	return func(key string, value any) {
		s, _ := plain(value).(string)
		t, err := time.ParseDuration(s)
		if err != nil {
			d.fault(value, "%s: %v is not a duration: write 500ms, 15s or 2m", key, plain(value))
			return
		}
		*to = t
	}
}

func (d *decoder) clients(to *[]Client) field {
	return func(key string, value any) {
		list, ok := plain(value).([]any)
		if !ok {
			d.fault(value, "%s: want a list [ { user: ..., password: ... } ]", key)
			return
		}
		for i, item := range list {
			c := Client{Role: "client"}
			d.nested(map[string]field{
				"user": d.text(&c.User), "password": d.text(&c.Password), "role": d.text(&c.Role),
			})(fmt.Sprintf("%s[%d]", key, i), item)
			*to = append(*to, c)
		}
	}
}

// passOn keeps a block as configuration text. JSON is NATS configuration too.
func (d *decoder) passOn(to *string) field {
	return func(key string, value any) {
		block, ok := plain(value).(map[string]any)
		if !ok {
			d.fault(value, "%s: want a block { ... }", key)
			return
		}
		text, err := json.MarshalIndent(unwrap(block), "", "  ")
		if err != nil {
			d.fault(value, "%s: %v", key, err)
			return
		}
		*to = strings.TrimSuffix(strings.TrimPrefix(string(text), "{"), "}")
	}
}

// unwrap removes the parser's tokens.
func unwrap(v any) any {
	switch v := plain(v).(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[key] = unwrap(value)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = unwrap(v[i])
		}
		return list
	default:
		return v
	}
}
