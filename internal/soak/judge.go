package soak

import (
	"fmt"
	"slices"
	"time"
)

// Growth is how much higher than early in a run a level may be late in it, as a part of
// the early one; [Series.Floor] is allowed in any case. Levels are medians, so what
// happens in less than half of a quarter does not move them.
const Growth = 0.15

// Least is how many samples a level is made of, at least.
const Least = 6

// A Verdict says what became of a series.
type Verdict uint8

// The verdicts. Only Flat is good.
const (
	TooFew Verdict = iota // samples, to tell
	Flat
	Grows
)

func (v Verdict) String() string { return [...]string{"too few samples", "flat", "GROWS"}[v] }

// A Trend is the verdict on one series of one host.
type Trend struct {
	Host    string
	Series  Series
	Verdict Verdict
	Early   int64         // level in the second quarter
	Late    int64         // level in the last quarter
	Allowed int64         // how much Late may be above Early
	Samples int           // of the quarter that has fewer
	Span    time.Duration // of which these are quarters
	Life    int           // the process that was judged; 0 when it was all of them
}

func (t *Trend) String() string {
	of := "the whole run"
	if t.Life > 0 {
		of = fmt.Sprintf("process %d", t.Life)
	}
	return fmt.Sprintf("%s, %s: %s: %s, then %s (%s more is allowed), %d samples or more in a quarter of %v, %s",
		t.Host, t.Series.Name, t.Verdict, t.Series.text(t.Early), t.Series.text(t.Late), t.Series.text(t.Allowed), t.Samples, t.Span.Round(time.Second), of)
}

// Judge judges every series of every host in the samples, by host, then in the order of
// [All]. It compares the median of the second quarter of the time with that of the last:
// the first is left to warm up. What is [Series.OfProcess] is judged in the longest life
// of a process, as a restart would hide what leaks. A host without samples has no trends.
func Judge(samples []Sample) (trends []Trend) {
	hosts := map[string][]Sample{}
	for _, s := range samples {
		hosts[s.Host] = append(hosts[s.Host], s)
	}
	var names []string
	for name, of := range hosts {
		names = append(names, name)
		slices.SortStableFunc(of, func(a, b Sample) int { return a.At.Compare(b.At) })
	}
	slices.Sort(names)
	for _, name := range names {
		all, longest := hosts[name], longestLife(hosts[name])
		for _, s := range All() {
			t := Trend{Host: name, Series: s}
			if s.OfProcess {
				t.Life = longest[0].Life
				t.judge(longest)
			} else {
				t.judge(all)
			}
			trends = append(trends, t)
		}
	}
	return trends
}

// longestLife are the samples of the process that was seen over the longest time.
func longestLife(all []Sample) []Sample {
	lives := map[int][]Sample{}
	longest := all[0].Life
	for _, s := range all {
		lives[s.Life] = append(lives[s.Life], s)
		if span(lives[s.Life]) > span(lives[longest]) {
			longest = s.Life
		}
	}
	return lives[longest]
}

func span(of []Sample) time.Duration {
	if len(of) == 0 {
		return 0
	}
	return of[len(of)-1].At.Sub(of[0].At)
}

// judge needs samples in the order of time, one at least.
func (t *Trend) judge(samples []Sample) {
	t.Span = span(samples)
	began := samples[0].At
	var early, late []int64
	for i := range samples {
		switch at := samples[i].At.Sub(began); {
		case at >= t.Span*3/4:
			late = append(late, t.Series.Of(&samples[i]))
		case at >= t.Span/4 && at < t.Span/2:
			early = append(early, t.Series.Of(&samples[i]))
		}
	}
	t.Samples = min(len(early), len(late))
	t.Early, t.Late = median(early), median(late)
	t.Allowed = max(t.Series.Floor, int64(float64(t.Early)*Growth))
	switch {
	case t.Samples < Least:
		t.Verdict = TooFew
	case t.Late-t.Early > t.Allowed:
		t.Verdict = Grows
	default:
		t.Verdict = Flat
	}
}

// median is 0 of nothing.
func median(of []int64) int64 {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[len(of)/2]
}
