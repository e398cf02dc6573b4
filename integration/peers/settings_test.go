package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	for args, want := range map[string]struct{ stripes, clients []int }{
		"":                                {[]int{3}, []int{1, 16, 64, 256, 1000}},
		"--stripes-per-host 1,2,4":        {[]int{3, 6, 12}, []int{1, 16, 64, 256, 1000}},
		"--stripes 64 --clients 7":        {[]int{64}, []int{7}},
		"--hosts 1 --stripes-per-host 4":  {[]int{1}, []int{1, 16, 64, 256, 1000}},
		"--only etcd,trireme --clients 9": {[]int{3}, []int{9}},
	} {
		s, err := parseFlags(strings.Fields(args), io.Discard)
		if err != nil || !slices.Equal(s.stripes, want.stripes) || !slices.Equal(s.clients, want.clients) {
			t.Errorf("%q: stripes %v, clients %v, %v: want %v", args, s.stripes, s.clients, err, want)
		}
	}
	for _, bad := range []string{
		"--hosts 2", "--clients 0", "--clients 1,x", "--clients ,", "--turn 0s", "--turns 0", "--warm -1s", "--per-conn 0",
		"--only consul", "-o yaml", "--client fat", "--stripes 0", "word",
	} {
		if _, err := parseFlags(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestWhoTakesPart(t *testing.T) {
	for args, want := range map[string]string{
		"":                              "trireme/3 etcd jetstream/3",
		"--stripes-per-host 1,2":        "trireme/3 trireme/6 etcd jetstream/3 jetstream/6",
		"--only etcd":                   "etcd",
		"--only jetstream --stripes 64": "jetstream/64",
	} {
		s, err := parseFlags(strings.Fields(args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range contestants(&s) {
			got = append(got, c.name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", args, got, want)
		}
	}
}
