package soak

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// run is n samples of one host, 5 s from one another.
func run(n int, value func(i int) (life int, resident, logs int64)) []Sample {
	var all []Sample
	for i := range n {
		s := Sample{At: start.Add(time.Duration(i) * 5 * time.Second), Host: "h1", Acked: int64(i) * 1000}
		s.Life, s.Resident, s.LogDisk = value(i)
		all = append(all, s)
	}
	return all
}

func verdicts(samples []Sample) map[string]Verdict {
	of := map[string]Verdict{}
	for _, t := range Judge(samples) {
		of[t.Host+" "+t.Series.Name] = t.Verdict
	}
	return of
}

func TestTheRecordIsReadAsItWasWritten(t *testing.T) {
	var record bytes.Buffer
	want := run(20, func(i int) (int, int64, int64) { return i / 7, int64(i) * mebi, 7 })
	want[3].Fault = "owner killed"
	for _, s := range want {
		if err := Write(&record, s); err != nil {
			t.Fatal(err)
		}
	}
	record.WriteString(`{"host":"h1","at":`) // it was cut short
	got, err := Read(&record)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestARecordThatCannotBeReadIsRefused(t *testing.T) {
	for _, line := range []string{"", "{", `{"host":"h1"}`, `{"at":"2026-01-02T03:04:05Z"}`} {
		good := `{"at":"2026-01-02T03:04:05Z","host":"h1"}` + "\n"
		got, err := Read(strings.NewReader(good + line + "\n" + good))
		if err == nil || !strings.Contains(err.Error(), "line 2") || len(got) != 1 {
			t.Errorf("%q: %v, %d samples", line, err, len(got))
		}
	}
}

// Where samples come from does not matter, nor in which order.
func TestHostsAreJudgedEachByItself(t *testing.T) {
	steady := run(100, func(int) (int, int64, int64) { return 1, 100 * mebi, 0 })
	leaks := run(100, func(i int) (int, int64, int64) { return 1, int64(100+10*i) * mebi, 0 })
	for i := range leaks {
		leaks[i].Host = "h2"
	}
	var all []Sample
	for i := range leaks {
		all = append(all, leaks[len(leaks)-1-i], steady[i])
	}
	got := verdicts(all)
	if got["h1 resident memory"] != Flat || got["h2 resident memory"] != Grows || got["h2 heap"] != Flat {
		t.Errorf("%v", got)
	}
	if len(got) != 2*len(All()) {
		t.Errorf("%d verdicts on 2 hosts, want %d", len(got), 2*len(All()))
	}
	for _, trend := range Judge(all) {
		if text := trend.String(); trend.Verdict == Grows && !strings.Contains(text, "h2, resident memory: GROWS: 470.0 MiB, then 970.0 MiB (70.5 MiB more is allowed)") {
			t.Error(text)
		}
	}
}

// A leak that restarts reset is seen in the longest life.
func TestALeakBetweenRestartsIsSeen(t *testing.T) {
	samples := run(300, func(i int) (int, int64, int64) { // restarts at 40, 80 and 250
		began, life := 0, 1
		for n, at := range []int{40, 80, 250} {
			if i >= at {
				began, life = at, n+2
			}
		}
		return life, int64(50+2*(i-began)) * mebi, 0
	})
	for _, trend := range Judge(samples) {
		if trend.Series.Name == "resident memory" && (trend.Verdict != Grows || trend.Life != 3) {
			t.Error(trend.String())
		}
	}
}

func TestNothingIsNotFlat(t *testing.T) {
	if got := Judge(nil); len(got) != 0 {
		t.Errorf("%v", got)
	}
	for n := 1; n < 4*Least-1; n++ {
		for key, v := range verdicts(run(n, func(int) (int, int64, int64) { return 1, 1, 1 })) {
			if v != TooFew {
				t.Errorf("%d samples: %s: %v", n, key, v)
			}
		}
	}
	same := run(1000, func(int) (int, int64, int64) { return 1, 1, 1 })
	for i := range same {
		same[i].At = start
	}
	for key, v := range verdicts(same) {
		if v == Flat {
			t.Errorf("1000 samples of one moment: %s: %v", key, v)
		}
	}
}

// A level is steady but for noise of a fifth of what is allowed, and a few outliers.
type level struct {
	samples     int
	base, noise int64
	allowed     float64
	of          func(i int) int64
}

func drawLevel(t *rapid.T, floor int64) level {
	l := level{samples: rapid.IntRange(8*Least, 600).Draw(t, "samples"), base: rapid.Int64Range(0, 4<<30).Draw(t, "base")}
	l.allowed = max(float64(floor), float64(l.base)*Growth)
	l.noise = int64(l.allowed) / 5
	seed := rapid.Int64Range(1, 1<<40).Draw(t, "seed")
	outlier := rapid.IntRange(0, l.samples-1).Draw(t, "outlier at")
	outliers := rapid.IntRange(0, l.samples/20).Draw(t, "outliers")
	l.of = func(i int) int64 {
		if i >= outlier && i < outlier+outliers {
			return 1 << 40
		}
		return l.base + seed%1009*int64(i+1)%1009*l.noise/1009
	}
	return l
}

func series(name string) Series {
	for _, s := range All() {
		if s.Name == name {
			return s
		}
	}
	panic("no series is called " + name)
}

func TestNoiseAndRestartsDoNotFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLevel(t, series("logs on disk").Floor)
		every := rapid.IntRange(1, l.samples).Draw(t, "restart every")
		got := verdicts(run(l.samples, func(i int) (int, int64, int64) {
			v := l.of(i)
			return 1 + i/every, v * int64(min(i%every, 3)) / 3, v // a process begins low
		}))
		if v := got["h1 logs on disk"]; v != Flat {
			t.Fatalf("disk: %v", v)
		}
		if v := got["h1 resident memory"]; v == Grows || v == TooFew && every >= 4*(Least+1) {
			t.Fatalf("memory: %v", v)
		}
	})
}

func TestALeakOfAnySlopeAboveTheBoundIsSeen(t *testing.T) {
	for _, name := range []string{"logs on disk", "resident memory"} {
		rapid.Check(t, func(t *rapid.T) {
			l := drawLevel(t, series(name).Floor)
			// From the second quarter to the last is half of the run. What has leaked by the
			// second raises what is allowed, too.
			least := 1.7*l.allowed + 2*float64(l.noise)
			leak := rapid.Float64Range(least, 100*least).Draw(t, "leak in half of the run")
			got := verdicts(run(l.samples, func(i int) (int, int64, int64) {
				v := l.of(i) + int64(leak*float64(2*i)/float64(l.samples))
				return 1, v, v
			}))
			if v := got["h1 "+name]; v != Grows {
				t.Fatalf("%s: %v", name, v)
			}
		})
	}
}

func ExampleJudge() {
	var samples []Sample
	for i := range 100 {
		samples = append(samples, Sample{At: start.Add(time.Duration(i) * time.Minute), Host: "h1", Life: 1, Descriptors: int64(40 + 5*i)})
	}
	for _, t := range Judge(samples) {
		if t.Verdict != Flat {
			fmt.Println(&t)
		}
	}
	// Output: h1, descriptors: GROWS: 225, then 475 (33 more is allowed), 25 samples or more in a quarter of 1h39m0s, process 1
}
