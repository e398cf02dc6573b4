package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are the flags.
type settings struct {
	hosts    int
	stripes  []int // how many in all; a contest of Trireme and of JetStream for each
	clients  []int
	warm     time.Duration
	turn     time.Duration
	turns    int
	perConn  int
	client   string
	only     []string
	dir      string
	program  string
	profiles string
	output   string
}

const (
	asTable = "table"
	asJSON  = "json"
)

// What makes the requests.
const (
	clientLean     = "lean"
	clientOrdinary = "ordinary"
)

// The families of contestants, as --only names them.
const (
	familyTrireme   = "trireme"
	familyEtcd      = "etcd"
	familyJetStream = "jetstream"
)

func parseFlags(args []string, stderr io.Writer) (settings, error) {
	s := settings{clients: []int{1, 16, 64, 256, 1000}}
	perHost, stripes := []int{1}, []int(nil)
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&s.hosts, "hosts", 3, "`number` of hosts, members and servers: 3, or 1 to try things out")
	f.Func("clients", "`list` of how many clients ask at once (1,16,64,256,1000)", numbers(&s.clients))
	f.Func("stripes-per-host", "`list` of how many stripes each host leads (1); bare JetStream has as many streams", numbers(&perHost))
	f.Func("stripes", "`list` of how many stripes there are in all, instead of --stripes-per-host", numbers(&stripes))
	f.DurationVar(&s.warm, "warm", 2*time.Second, "how long the clients ask before the clock starts")
	f.DurationVar(&s.turn, "turn", 5*time.Second, "how long each measurement takes")
	f.IntVar(&s.turns, "turns", 3, "how often each is measured; the turn in the middle counts")
	f.IntVar(&s.perConn, "per-conn", 64, "how many clients share a connection to each host")
	f.Func("client", "`kind` of client: lean, on one goroutine for each connection, or ordinary, each peer's own library with a goroutine for each client (lean)", func(v string) error {
		s.client = v
		return oneOf(v, clientLean, clientOrdinary)
	})
	f.Func("only", "`list` of trireme, etcd, jetstream; all when it is not given", names(&s.only, familyTrireme, familyEtcd, familyJetStream))
	f.StringVar(&s.dir, "dir", "", "`directory` on a disk for the servers' data; a temporary one when it is not given")
	f.StringVar(&s.program, "trireme", "", "the `program` to measure; built from this tree when it is not given")
	f.StringVar(&s.profiles, "profile", "", "`directory` for a processor profile of every server in every turn; the last turn's stay")
	f.Func("o", "`form` of the answer: table or json (table)", func(v string) error {
		s.output = v
		return oneOf(v, asTable, asJSON)
	})
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("%q: there are flags only, see --help", f.Args())
	}
	s.output, s.client = cmp.Or(s.output, asTable), cmp.Or(s.client, clientLean)
	s.stripes = stripes
	if s.hosts == 1 {
		s.stripes = []int{1} // a host that stands alone has one
	}
	if len(s.stripes) == 0 {
		for _, n := range perHost {
			s.stripes = append(s.stripes, n*s.hosts)
		}
	}
	return s, s.check()
}

func (s *settings) check() error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	fault(s.hosts != 1 && s.hosts != 3, "--hosts %d: want 1 or 3", s.hosts)
	fault(s.warm < 0, "--warm %v: want 0 or more", s.warm)
	fault(s.turn <= 0, "--turn %v: want more than 0", s.turn)
	fault(s.turns < 1, "--turns %d: want 1 or more", s.turns)
	fault(s.perConn < 1, "--per-conn %d: want 1 or more", s.perConn)
	return errors.Join(errs...)
}

// has tells whether a family takes part.
func (s *settings) has(family string) bool {
	return len(s.only) == 0 || slices.Contains(s.only, family)
}

// most is the largest number of clients.
func (s *settings) most() int { return slices.Max(s.clients) }

func numbers(to *[]int) func(string) error {
	return func(v string) error {
		*to = nil
		for word := range strings.SplitSeq(v, ",") {
			n, err := strconv.Atoi(word)
			if err != nil || n < 1 {
				return fmt.Errorf("%q: want numbers from 1 up, as in 1,16,64", word)
			}
			*to = append(*to, n)
		}
		return nil
	}
}

func names(to *[]string, known ...string) func(string) error {
	return func(v string) error {
		*to = strings.Split(v, ",")
		for _, name := range *to {
			if err := oneOf(name, known...); err != nil {
				return err
			}
		}
		return nil
	}
}

func oneOf(v string, known ...string) error {
	if !slices.Contains(known, v) {
		return fmt.Errorf("%q is unknown: want one of %s", v, strings.Join(known, ", "))
	}
	return nil
}
