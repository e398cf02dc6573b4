package identity

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"
)

// Self is who a host is, as the file id tells it.
type Self struct {
	Disk    string   `json:"disk"`             // id of the disk: random, made once
	Host    string   `json:"host"`             // the host's name
	Cluster string   `json:"cluster"`          // name of its cluster; "" for a host that stands alone
	Boot    uint64   `json:"boot"`             // how often the host has begun; carried on when the disk is emptied
	Begun   bool     `json:"begun"`            // it has begun on this disk: what is in seen counts
	Created string   `json:"created"`          // when the id was made
	Former  []string `json:"former,omitempty"` // disks that this one has replaced, the last one first
}

// formerDisks bounds what is remembered of disks that were replaced.
const formerDisks = 16

func newSelf(host, cluster string, now time.Time) Self {
	return Self{Disk: rand.Text(), Host: host, Cluster: cluster, Created: now.UTC().Format(time.RFC3339)}
}

// replaced is who the host is after it has come in with an empty disk.
func (s Self) replaced(boot uint64, former []string, now time.Time) Self {
	next := newSelf(s.Host, s.Cluster, now)
	next.Boot = max(s.Boot, boot)
	for _, disk := range slices.Concat([]string{s.Disk}, former, s.Former) {
		if !slices.Contains(next.Former, disk) && len(next.Former) < formerDisks {
			next.Former = append(next.Former, disk)
		}
	}
	return next
}

// check compares the directory with what is configured.
func (s Self) check(dir, host, cluster string) error {
	switch {
	case s.Disk == "" || s.Host == "":
		return fmt.Errorf("data directory %s: file id names no disk or host; %s", dir, restore)
	case s.Host != host:
		return fmt.Errorf("host: %q is configured, but data directory %s belongs to host %q: "+
			"set host to that name, or name another directory; a host's directory is never given to another one", host, dir, s.Host)
	case s.Cluster == "" && cluster != "":
		return fmt.Errorf("layout: is set, but data directory %s is that of a host that stands alone: "+
			"its documents would not be found in the cluster; start it without a layout, or name an empty directory", dir)
	case s.Cluster != "" && cluster == "":
		return fmt.Errorf("layout: is not set, but data directory %s is that of a host of cluster %q: "+
			"alone it would lose its logs; set the layout, or name an empty directory", dir, s.Cluster)
	case s.Cluster != cluster:
		return fmt.Errorf("cluster.name: %q is configured, but data directory %s belongs to cluster %q: "+
			"set the name to that, or name an empty directory", cluster, dir, s.Cluster)
	}
	return nil
}

const restore = "restore the file from a backup of exactly this disk, or, while all other hosts are well, " +
	"move everything in the directory away and start: the host then comes in empty and fetches its data from them"
