package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"trireme/repair/verify"
)

func (e *evidence) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n\n", e.Verdict, e.summary())
	lines := [][]string{{"STRIPE", "POSITION", "BUCKETS", "EQUAL", "MEMBERS"}}
	for _, s := range e.Stripes {
		members := make([]string, 0, len(s.Members))
		for _, m := range s.Members {
			members = append(members, fmt.Sprintf("%s %d at %s", m.Host, m.Compared, orNone(m.Applied)))
		}
		lines = append(lines, []string{s.Stripe, orNone(s.Position), strconv.Itoa(s.Buckets), strconv.Itoa(s.Equal), strings.Join(members, ", ")})
	}
	rows(w, lines)
	e.printIncomplete(w)
	for i := range e.Differences {
		e.Differences[i].print(w)
	}
	if e.More > 0 {
		fmt.Fprintf(w, "\n... and %d more\n", e.More)
	}
	if e.Deep != nil {
		fmt.Fprintln(w)
		printScrubs(w, e.Deep.Hosts, nil)
		for _, h := range e.Deep.Missing {
			fmt.Fprintf(w, "host %s has not re-read its disk: it was not there\n", h)
		}
	}
}

// summary is the verdict in a sentence.
func (e *evidence) summary() string {
	buckets, hosts := 0, map[string]bool{}
	for _, s := range e.Stripes {
		buckets += s.Buckets
		for _, m := range s.Members {
			hosts[m.Host] = true
		}
	}
	switch e.Verdict {
	case verify.Pass:
		if len(hosts) == 1 {
			return "there is one host only, and nobody to compare it with"
		}
		return fmt.Sprintf("all copies of all documents are identical: %s, %d buckets, on %d hosts", many(len(e.Stripes), "stripe"), buckets, len(hosts))
	case verify.Fail:
		docs := 0
		for _, d := range e.Damaged {
			docs += d.Documents
		}
		var parts []string
		if n := len(e.Differences) + e.More; n > 0 {
			parts = append(parts, many(n, "difference")+" between members")
		}
		if docs > 0 {
			parts = append(parts, many(docs, "document")+" known to be damaged")
		}
		return strings.Join(parts, ", ")
	}
	return "nothing is known to differ, and not everything could be compared"
}

// printIncomplete writes why members were not compared in whole.
func (e *evidence) printIncomplete(w io.Writer) {
	for _, s := range e.Stripes {
		for _, m := range s.Members {
			if m.Why != "" {
				fmt.Fprintf(w, "\nnot compared: %s of stripe %s, %d of %d buckets: %s\n", m.Host, s.Stripe, s.Buckets-m.Compared-m.Differs, s.Buckets, oneLine(m.Why, 200))
			}
		}
	}
	for _, d := range e.Damaged {
		fmt.Fprintf(w, "\nhost %s knows of %s that it has not repaired yet\n", d.Host, many(d.Documents, "damaged document"))
	}
}

func (d *evidenceDifference) print(w io.Writer) {
	if d.Space == "" && d.Key == "" {
		fmt.Fprintf(w, "\nbucket %s of partition %s, stripe %s: %s\n", d.Bucket, d.Partition, d.Stripe, d.Rule)
		return
	}
	fmt.Fprintf(w, "\n%s %s (bucket %s, partition %s, stripe %s): ", d.Space, d.Key, d.Bucket, d.Partition, d.Stripe)
	if len(d.Wrong) == 0 {
		fmt.Fprintf(w, "nobody can tell who is right: %s\n", d.Rule)
	} else {
		fmt.Fprintf(w, "%s right, %s wrong: %s\n", orNobody(d.Right), strings.Join(d.Wrong, ", "), d.Rule)
	}
	for i := range d.Copies {
		c := &d.Copies[i]
		fmt.Fprintf(w, "  %s %s", c.Host, c.Copy)
		switch {
		case c.Unknown != "":
			fmt.Fprintf(w, "unknown: %s", oneLine(c.Unknown, 100))
		case c.Damage != "":
			fmt.Fprintf(w, ": %s", oneLine(c.Damage, 100))
		case c.Position != "":
			fmt.Fprintf(w, " at %s, head %d, digest %s", c.Position, c.Head, c.Digest[:min(12, len(c.Digest))])
		}
		fmt.Fprintln(w)
	}
}

func orNobody(hosts []string) string {
	if len(hosts) == 0 {
		return "nobody"
	}
	return strings.Join(hosts, ", ")
}
