package config

import (
	"encoding/json"
	"fmt"
	"strings"

	"trireme/internal/conffile"
)

// Load reads a file over the defaults. Every fault names file and line.
func Load(path string) (Config, error) {
	values, digest, err := conffile.ParseFile(path)
	if err != nil {
		return Config{}, err
	}
	c := Default()
	d := conffile.NewDecoder(path)
	d.Block("", values, c.fields(d))
	c.Digest = digest
	if err := d.Err(); err != nil {
		return Config{}, err
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// fields says where each key goes.
func (c *Config) fields(d *conffile.Decoder) map[string]conffile.Field {
	return map[string]conffile.Field{
		"host":   d.Text(&c.Host),
		"data":   d.Text(&c.Data),
		"listen": d.Text(&c.Listen),
		"http":   d.Text(&c.HTTP),
		"layout": d.Text(&c.Layout),
		"cluster": d.Nested(map[string]conffile.Field{
			"name":         d.Text(&c.Cluster.Name),
			"listen":       d.Text(&c.Cluster.Listen),
			"user":         d.Text(&c.Cluster.User),
			"password":     d.Text(&c.Cluster.Password),
			"poll":         d.Duration(&c.Cluster.Poll),
			"prefer_after": d.Duration(&c.Cluster.PreferAfter),
		}),
		"log": d.Nested(map[string]conffile.Field{
			"max_bytes":  d.Number(&c.Log.MaxBytes),
			"keep_bytes": d.Number(&c.Log.KeepBytes),
		}),
		"store": d.Nested(map[string]conffile.Field{
			"cache_bytes":  d.Number(&c.Store.CacheBytes),
			"merged_bytes": d.Number(&c.Store.MergedBytes),
			"checkpoint":   d.Duration(&c.Store.Checkpoint),
		}),
		"requests": d.Nested(map[string]conffile.Field{
			"hold":          d.Duration(&c.Requests.Hold),
			"max_in_flight": d.Int(&c.Requests.MaxInFlight),
			"max_bytes":     d.Int(&c.Requests.MaxBytes),
		}),
		"repair": d.Nested(map[string]conffile.Field{
			"interval":    d.Duration(&c.Repair.Interval),
			"rate_bytes":  d.Number(&c.Repair.RateBytes),
			"serve_bytes": d.Number(&c.Repair.ServeBytes),
			"tranquility": d.Int(&c.Repair.Tranquility),
			"scrub":       d.Duration(&c.Repair.Scrub),
		}),
		"disk":    d.Nested(map[string]conffile.Field{"reserve_bytes": d.Number(&c.DiskReserve)}),
		"clients": clients(d, &c.Clients),
		"nats":    passOn(d, &c.NATS),
	}
}

func clients(d *conffile.Decoder, to *[]Client) conffile.Field {
	return d.List("{ user: ..., password: ... }", func(key string, item any) {
		c := Client{Role: "client"}
		d.Nested(map[string]conffile.Field{
			"user": d.Text(&c.User), "password": d.Text(&c.Password), "role": d.Text(&c.Role),
		})(key, item)
		*to = append(*to, c)
	})
}

// passOn keeps a block as configuration text. JSON is NATS configuration too.
func passOn(d *conffile.Decoder, to *string) conffile.Field {
	return func(key string, value any) {
		block, ok := conffile.Plain(value).(map[string]any)
		if !ok {
			d.Fault(value, "%s: want a block { ... }", key)
			return
		}
		text, err := json.MarshalIndent(unwrap(block), "", "  ")
		if err != nil {
			d.Fault(value, "%s: %v", key, err)
			return
		}
		*to = strings.TrimSuffix(strings.TrimPrefix(string(text), "{"), "}")
	}
}

// unwrap removes what tells the places of values.
func unwrap(v any) any {
	switch v := conffile.Plain(v).(type) {
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
