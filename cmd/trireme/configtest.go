package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"

	"trireme/internal/config"
	"trireme/internal/host"
)

// A testView is what `serve -t -o json` tells: the file, and what would run.
type testView struct {
	Valid  bool       `json:"valid"`
	File   string     `json:"file"`
	Digest string     `json:"digest"`
	Config configView `json:"config"`
}

// A configView is a configuration that may be shown: no passwords, and nothing
// of what is passed on to NATS.
type configView struct {
	Host        string       `json:"host"`
	Data        string       `json:"data"`
	Listen      string       `json:"listen"`
	HTTP        string       `json:"http"`
	Layout      string       `json:"layout"`         // "" for a host that stands alone
	Cluster     joinView     `json:"cluster"`        // used with a layout
	LogMax      int64        `json:"log_max_bytes"`  // 0 is chosen when the log is made
	LogKeep     int64        `json:"log_keep_bytes"` // 0 is the default
	Cache       int64        `json:"store_cache_bytes"`
	Merged      int64        `json:"store_merged_bytes"`
	Checkpoint  string       `json:"store_checkpoint"`
	Hold        string       `json:"requests_hold"`
	MaxInFlight int          `json:"requests_max_in_flight"`
	MaxBytes    int          `json:"requests_max_bytes"`
	Reserve     int64        `json:"disk_reserve_bytes"` // 0 is chosen from the disk
	Clients     []clientView `json:"clients"`
}

type joinView struct {
	Name        string `json:"name"`
	Listen      string `json:"listen"` // "" takes the layout's
	User        string `json:"user"`
	Poll        string `json:"poll"`
	PreferAfter string `json:"prefer_after"`
}

type clientView struct {
	User string `json:"user"`
	Role string `json:"role"`
}

// tested tells that a configuration is good, or every fault of it.
func (a *app) tested(ctx context.Context, file string, cfg config.Config) error {
	if err := host.Check(ctx, cfg); err != nil {
		return err
	}
	v := testView{Valid: true, File: file, Digest: cfg.Digest, Config: viewConfig(cfg)}
	return a.answer(v, v.print)
}

func viewConfig(c config.Config) configView {
	v := configView{
		Host: c.Host, Data: c.Data, Listen: c.Listen, HTTP: c.HTTP, Layout: c.Layout,
		Cluster: joinView{
			Name: c.Cluster.Name, Listen: c.Cluster.Listen, User: c.Cluster.User,
			Poll: c.Cluster.Poll.String(), PreferAfter: c.Cluster.PreferAfter.String(),
		},
		LogMax: c.Log.MaxBytes, LogKeep: c.Log.KeepBytes,
		Cache: c.Store.CacheBytes, Merged: c.Store.MergedBytes, Checkpoint: c.Store.Checkpoint.String(),
		Hold: c.Requests.Hold.String(), MaxInFlight: c.Requests.MaxInFlight, MaxBytes: c.Requests.MaxBytes,
		Reserve: c.DiskReserve, Clients: []clientView{},
	}
	for _, client := range c.Clients {
		v.Clients = append(v.Clients, clientView{client.User, client.Role})
	}
	return v
}

func (v *testView) print(w io.Writer) {
	if v.File == "" {
		fmt.Fprintln(w, "the configuration is valid; there is no file")
	} else {
		fmt.Fprintf(w, "configuration file %s is valid, %s\n", v.File, v.Digest)
	}
	c := v.Config
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	auto := func(n int64) string {
		if n == 0 {
			return "chosen from the disk"
		}
		return number(n)
	}
	lines := [][]string{
		{"host", c.Host},
		{"data", c.Data},
		{"listen", c.Listen},
		{"http", c.HTTP},
		{"layout", cmp.Or(c.Layout, "none: the host stands alone")},
		{"log.max_bytes", auto(c.LogMax)},
		{"log.keep_bytes", number(c.LogKeep)},
		{"store.cache_bytes", number(c.Cache)},
		{"store.merged_bytes", number(c.Merged)},
		{"store.checkpoint", c.Checkpoint},
		{"requests.hold", c.Hold},
		{"requests.max_in_flight", strconv.Itoa(c.MaxInFlight)},
		{"requests.max_bytes", strconv.Itoa(c.MaxBytes)},
		{"disk.reserve_bytes", auto(c.Reserve)},
	}
	if c.Layout != "" {
		lines = append(lines,
			[]string{"cluster.name", c.Cluster.Name},
			[]string{"cluster.listen", cmp.Or(c.Cluster.Listen, "the layout's address")},
			[]string{"cluster.user", cmp.Or(c.Cluster.User, "none")},
			[]string{"cluster.poll", c.Cluster.Poll},
			[]string{"cluster.prefer_after", c.Cluster.PreferAfter},
		)
	}
	for _, client := range c.Clients {
		lines = append(lines, []string{"client " + client.User, client.Role})
	}
	fmt.Fprintln(w)
	rows(w, lines)
}
