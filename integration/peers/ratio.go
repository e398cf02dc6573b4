package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A ratio compares Trireme with a peer at one number of clients. An aim of 0 is none.
type ratio struct {
	Clients       int     `json:"clients"`
	Name          string  `json:"name"`
	Over          string  `json:"over"`
	Throughput    float64 `json:"throughput"`
	ThroughputAim float64 `json:"throughput_aim,omitempty"` // at least
	P50           float64 `json:"p50"`
	P50Aim        float64 `json:"p50_aim,omitempty"` // at most
	CPU           float64 `json:"server_cpu"`        // which others on the machine disturb least
}

func (q *ratio) aim(value float64, met bool) string {
	switch {
	case value == 0:
		return ""
	case met:
		return fmt.Sprintf("%g, met", value)
	}
	return fmt.Sprintf("**%g, missed**", value)
}

// ratios compares each Trireme with etcd, and with JetStream of as many streams.
func ratios(rows []*row) (list []ratio) {
	for _, ours := range rows {
		stripes, is := strings.CutPrefix(ours.Name, familyTrireme+"/")
		if !is {
			continue
		}
		for _, peer := range rows {
			if peer.Clients != ours.Clients || peer == ours || !meets(peer.Name, stripes) {
				continue
			}
			q := ratio{Clients: ours.Clients, Name: ours.Name, Over: peer.Name}
			q.Throughput = ours.Median.PerSecond / peer.Median.PerSecond
			q.P50 = float64(ours.Median.P50) / float64(peer.Median.P50)
			q.CPU = float64(ours.Median.Servers) / float64(peer.Median.Servers)
			q.ThroughputAim, q.P50Aim = aims(peer.Name, ours.Clients)
			list = append(list, q)
		}
	}
	slices.SortStableFunc(list, func(a, b ratio) int { return cmp.Compare(a.Clients, b.Clients) })
	return list
}

func meets(peer, stripes string) bool {
	return strings.HasPrefix(peer, familyEtcd) || peer == familyJetStream+"/"+stripes
}

// aims are what issue 3 asks for. Its figures for etcd are of puts.
func aims(peer string, clients int) (throughput, p50 float64) {
	switch {
	case peer == etcdPut && clients == 1:
		return 0, 1.3
	case peer == etcdPut:
		return map[int]float64{64: 1.5, 256: 3, 1000: 4}[clients], 0
	case strings.HasPrefix(peer, familyJetStream) && clients >= 256:
		return 1, 0
	}
	return 0, 0
}
