package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A demoEvent is one line of the demo: text for a person, a JSON object for a program,
// with the same `event` for what is of one kind.
type demoEvent interface {
	text(w io.Writer)
	at(seconds float64)
}

// tell writes an event. Who watches a pipe that is closed hears no more.
func (d *demo) tell(e demoEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.began.IsZero() {
		e.at(time.Since(d.began).Round(time.Millisecond).Seconds())
	}
	var b strings.Builder
	if d.app.output == asJSON {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(e); err != nil {
			d.writing = err
			return
		}
	} else {
		e.text(&b)
	}
	if _, err := io.WriteString(d.app.out, b.String()); err != nil && d.writing == nil {
		d.writing = fmt.Errorf("tell what happens: %w", err)
		d.stop()
	}
}

// A demoTime is when an event was.
type demoTime struct {
	Seconds float64 `json:"seconds"` // since the load began
}

func (t *demoTime) at(seconds float64) { t.Seconds = seconds }

func (t *demoTime) stamp() string { return fmt.Sprintf("%7.1fs  ", t.Seconds) }

// demoHosts is what there is to kill.
type demoHosts struct {
	Event string `json:"event"` // hosts
	demoTime
	Dir   string         `json:"dir"`
	Hosts []demoHostView `json:"hosts"`
}

type demoHostView struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	NATS string `json:"nats"`
	HTTP string `json:"http"`
	Log  string `json:"log"`
}

func (d *demo) hosts() *demoHosts {
	e := &demoHosts{Event: "hosts", Dir: d.cluster.Dir}
	for _, h := range d.cluster.Hosts {
		e.Hosts = append(e.Hosts, demoHostView{h.Name, h.Pid(), h.URL(), "http://" + h.HTTP, h.Log})
	}
	return e
}

func (e *demoHosts) text(w io.Writer) {
	fmt.Fprintf(w, "three hosts run in %s\n\n", e.Dir)
	lines := [][]string{{"HOST", "PID", "NATS", "HTTP", "KILL IT", "FREEZE IT", "THAW IT", "STOP IT"}}
	for _, h := range e.Hosts {
		signal := func(name string) string { return fmt.Sprintf("kill -%s %d", name, h.PID) }
		lines = append(lines, []string{h.Host, fmt.Sprint(h.PID), h.NATS, h.HTTP, signal("KILL"), signal("STOP"), signal("CONT"), signal("TERM")})
	}
	rows(w, lines)
	fmt.Fprintf(w, "\none that has ended is started again after %v; Ctrl-C ends it all\n", demoRevive)
	if len(e.Hosts) > 0 {
		fmt.Fprintf(w, "look from elsewhere: trireme status -s %s\n\n", e.Hosts[0].NATS)
	}
}

// demoHost is something that happens to a host.
type demoHost struct {
	Event string `json:"event"` // kill, ended, started, silent, answers, spared, cannot start, cannot kill
	demoTime
	Host  string `json:"host"`
	PID   int    `json:"pid,omitempty"`
	Error string `json:"error,omitempty"`
}

func (e *demoHost) text(w io.Writer) {
	says := map[string]string{
		"kill":         fmt.Sprintf("kill -KILL %d: %s", e.PID, e.Host),
		"ended":        fmt.Sprintf("%s has ended (it was %d)", e.Host, e.PID),
		"started":      fmt.Sprintf("%s is started again, as %d", e.Host, e.PID),
		"silent":       fmt.Sprintf("%s (%d) lives and does not answer", e.Host, e.PID),
		"answers":      fmt.Sprintf("%s (%d) answers", e.Host, e.PID),
		"spared":       fmt.Sprintf("nobody is killed now: %s is not ready: %s", e.Host, e.Error),
		"cannot start": fmt.Sprintf("%s cannot be started: %s", e.Host, e.Error),
		"cannot kill":  fmt.Sprintf("%s cannot be killed: %s", e.Host, e.Error),
	}
	fmt.Fprintf(w, "%s*** %s\n", e.stamp(), says[e.Event])
}

// demoChange is a stripe that has another owner.
type demoChange struct {
	Event string `json:"event"` // owner
	demoTime
	Stripe string `json:"stripe"`
	From   string `json:"from"`
	To     string `json:"to"`
	Epoch  string `json:"epoch"`
}

func (e *demoChange) text(w io.Writer) {
	fmt.Fprintf(w, "%s*** stripe %s: %s -> %s, epoch %s\n", e.stamp(), e.Stripe, e.From, e.To, e.Epoch)
}

// demoWait is a stripe whose clients had to wait.
type demoWait struct {
	Event string `json:"event"` // pause
	demoTime
	Stripe string `json:"stripe"`
	MS     int64  `json:"ms"` // of the change that took longest
}

func (e *demoWait) text(w io.Writer) {
	fmt.Fprintf(w, "%s*** stripe %s goes on: a change took %.1f s\n", e.stamp(), e.Stripe, float64(e.MS)/1000)
}

// demoSecond is what a second brought.
type demoSecond struct {
	Event string `json:"event"` // second
	demoTime
	Changes      int               `json:"changes"`
	Reads        int               `json:"reads"`
	MedianUS     int64             `json:"p50_us"` // of changes
	LongestUS    int64             `json:"max_us"`
	Acknowledged int               `json:"acknowledged"` // changes, since the beginning
	Errors       int               `json:"errors"`       // that clients were told, since the beginning
	Stale        int               `json:"stale_reads"`
	Owners       map[string]string `json:"owners"`
	LastError    string            `json:"last_error,omitempty"`
}

func (e *demoSecond) text(w io.Writer) {
	of := map[string][]string{}
	for stripe, host := range e.Owners {
		of[host] = append(of[host], stripe)
	}
	var owned []string
	for host, stripes := range of {
		slices.Sort(stripes)
		if len(stripes) > 4 {
			stripes = []string{fmt.Sprintf("%d stripes", len(stripes))}
		}
		owned = append(owned, host+" "+strings.Join(stripes, ","))
	}
	slices.Sort(owned)
	fmt.Fprintf(w, "%s%5d changes/s  %4d reads/s  %8s  %7d acknowledged  %d errors  %s\n", e.stamp(), e.Changes, e.Reads,
		short(time.Duration(e.MedianUS)*time.Microsecond), e.Acknowledged, e.Errors, strings.Join(owned, "  "))
	if e.LastError != "" {
		fmt.Fprintf(w, "%s*** a client was told: %s\n", e.stamp(), oneLine(e.LastError, 150))
	}
}

// second tells of pauses that have ended, and what the second brought.
func (d *demo) second() {
	now, all := d.load.second()
	e := &demoSecond{
		Event: "second", Changes: now.changes, Reads: now.reads,
		Acknowledged: all.changes, Errors: all.errors, Stale: all.stale, LastError: now.said, Owners: map[string]string{},
	}
	if n := len(now.took); n > 0 {
		slices.Sort(now.took)
		e.MedianUS, e.LongestUS = now.took[n/2].Microseconds(), now.took[n-1].Microseconds()
	}
	var waits []*demoWait
	for stripe, took := range now.waited {
		waits = append(waits, &demoWait{Event: "pause", Stripe: stripe, MS: took.Milliseconds()})
	}
	slices.SortFunc(waits, func(a, b *demoWait) int { return strings.Compare(a.Stripe, b.Stripe) })
	d.mu.Lock()
	for stripe, owner := range d.owners {
		e.Owners[stripe] = owner.host
	}
	for _, w := range waits {
		d.pauses = append(d.pauses, time.Duration(w.MS)*time.Millisecond)
	}
	d.mu.Unlock()
	for _, w := range waits {
		d.tell(w)
	}
	d.tell(e)
}

// demoSummary is what all of it came to.
type demoSummary struct {
	Event string `json:"event"` // summary
	demoTime
	Acknowledged int   `json:"acknowledged"`
	Reads        int   `json:"reads"`
	Lost         int   `json:"lost"`    // acknowledged, and not there
	Doubled      int   `json:"doubled"` // applied twice
	Stale        int   `json:"stale_reads"`
	Errors       int   `json:"errors"`
	Kills        int   `json:"kills"` // by --kill-every
	Pauses       int   `json:"pauses"`
	LongestMS    int64 `json:"longest_pause_ms"`
}

func (d *demo) summary(ctx context.Context) (*demoSummary, error) {
	lost, doubled, err := d.load.compare(ctx)
	if err != nil {
		return nil, err
	}
	_, all := d.load.second()
	d.mu.Lock()
	defer d.mu.Unlock()
	e := &demoSummary{
		Event: "summary", Acknowledged: all.changes, Reads: all.reads, Lost: lost, Doubled: doubled,
		Stale: all.stale, Errors: all.errors, Kills: d.kills, Pauses: len(d.pauses),
	}
	if len(d.pauses) > 0 {
		e.LongestMS = slices.Max(d.pauses).Milliseconds()
	}
	return e, nil
}

func (e *demoSummary) well() bool { return e.Lost+e.Doubled+e.Stale+e.Errors == 0 }

func (e *demoSummary) text(w io.Writer) {
	fmt.Fprintf(w, "\n%d changes acknowledged: %d lost, %d applied twice; %d reads, %d of them stale; %d errors\n",
		e.Acknowledged, e.Lost, e.Doubled, e.Reads, e.Stale, e.Errors)
	fmt.Fprintf(w, "%d kills, %d pauses of stripes, the longest %.1f s\n", e.Kills, e.Pauses, float64(e.LongestMS)/1000)
}
