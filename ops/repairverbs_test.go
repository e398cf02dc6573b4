package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"trireme/internal/layout"
	"trireme/repair"
	"trireme/repair/plan"
)

// repairer is a host's repair that notes what it is told. Long work waits for held, if
// there is one.
type repairer struct {
	mu   sync.Mutex
	told []string
	err  error
	held chan struct{}
}

func (r *repairer) note(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf(format, args...))
	return r.err
}

func (r *repairer) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.told, ", ")
}

// long is the work of a job.
func (r *repairer) long(ctx context.Context, format string, args ...any) error {
	if r.held != nil {
		select {
		case <-r.held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return r.note(format, args...)
}

func (r *repairer) Layout() layout.Layout { return layout.Single("h1") }

func (r *repairer) Pause(_ context.Context, d time.Duration) (time.Time, error) {
	return moment.Add(d), r.note("pause %v", d)
}
func (r *repairer) Resume(context.Context) error { return r.note("resume") }

func (r *repairer) Throttle(_ context.Context, t Throttle) error {
	text, _ := json.Marshal(t)
	return r.note("throttle %s", text)
}

func scopeText(s repair.Scope) string {
	text := s.Stripe
	if s.Partition != nil {
		text += "/" + s.Partition.String()
	}
	return text
}

func (r *repairer) Run(ctx context.Context, s repair.Scope) (repair.RoundResult, error) {
	return repair.RoundResult{Pulled: 4}, r.long(ctx, "run %s", scopeText(s))
}

func (r *repairer) Scrub(ctx context.Context, s repair.Scope, progress func(repair.ScrubProgress)) (repair.ScrubResult, error) {
	progress(repair.ScrubProgress{Buckets: 8, Read: 3})
	return repair.ScrubResult{ScrubProgress: repair.ScrubProgress{Buckets: 8, Read: 8}}, r.long(ctx, "scrub %s", scopeText(s))
}

func (r *repairer) Plan(ctx context.Context, s repair.Scope) (plan.Plan, error) {
	return plan.Plan{Host: "h1", Layout: 1, LayoutDigest: layout.Single("h1").Digest()}, r.long(ctx, "plan %s", scopeText(s))
}

func (r *repairer) Apply(ctx context.Context, p plan.Plan, progress func(ApplyProgress)) (ApplyResult, error) {
	progress(ApplyProgress{Ops: 2, Done: 1})
	return ApplyResult{Pulled: 2}, r.long(ctx, "apply %s", p.Host)
}

func (r *repairer) RebuildPlan(_ context.Context, stripe string) (RebuildPlan, error) {
	p := RebuildPlan{Stripe: stripe, Birth: 3, Members: []RebuildMember{standing("h1", "3-120", "aa")}}
	return DecideRebuild(p), r.note("rebuild plan %s", stripe)
}

func (r *repairer) Rebuild(ctx context.Context, p RebuildPlan, progress func(RebuildProgress)) (RebuildResult, error) {
	progress(RebuildProgress{Step: "making a log"})
	return RebuildResult{Stripe: p.Stripe, First: 121}, r.long(ctx, "rebuild %s", p.Stripe)
}

func steered(t *testing.T, r *repairer) (Client, *Control) {
	t.Helper()
	nc := connection(t)
	return Client{nc}, started(t, &Control{Conn: nc, Host: "h1", Version: "v0.1.0", Status: member, Repair: r})
}

// ended waits for a job's end.
func ended(t *testing.T, c Client, j Job) Job {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		got, err := c.Job(t.Context(), "h1", j.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Ended != nil {
			return got
		}
	}
	t.Fatalf("job %s has not ended", j.ID)
	return j
}

func TestRepairVerbs(t *testing.T) {
	host := &repairer{}
	c, _ := steered(t, host)
	ctx := t.Context()
	if l, err := c.InForce(ctx, "h1"); err != nil || l.Digest() != layout.Single("h1").Digest() {
		t.Errorf("layout %+v, %v", l, err)
	}
	if until, err := c.Pause(ctx, "h1", 90*time.Minute); err != nil || !until.Equal(moment.Add(90*time.Minute)) {
		t.Errorf("paused until %v, %v", until, err)
	}
	rate, rest := int64(0), 2.5
	for _, err := range []error{c.Resume(ctx, "h1"), c.Throttle(ctx, "h1", Throttle{Rate: &rate}), c.Throttle(ctx, "h1", Throttle{Tranquility: &rest})} {
		if err != nil {
			t.Error(err)
		}
	}
	seven := layout.PartitionID(7)
	part := repair.Scope{Stripe: "s1", Partition: &seven}
	plan := json.RawMessage(nil)
	for _, x := range []struct {
		begin          func() (Job, error)
		request        string
		progress, want string
	}{
		{func() (Job, error) { return c.BeginRun(ctx, "h1", part) }, `{"stripe":"s1","partition":7}`, ``, `"pulled":4`},
		{func() (Job, error) { return c.BeginScrub(ctx, "h1", repair.Scope{}) }, `{}`, `"read_buckets":3`, `"read_buckets":8`},
		{func() (Job, error) { return c.BeginPlan(ctx, "h1", repair.Scope{Stripe: "s2"}) }, `{"stripe":"s2"}`, ``, `h1`},
		{func() (Job, error) { return c.BeginApply(ctx, "h1", plan) }, `"operations":0`, `"done":1`, `"pulled":2`},
		{func() (Job, error) {
			p, err := c.RebuildPlan(ctx, "h1", "s1")
			if err != nil {
				return Job{}, err
			}
			return c.BeginRebuild(ctx, "h1", p)
		}, `"from":"h1"`, `making a log`, `"first":121`},
	} {
		j, err := x.begin()
		if err != nil {
			t.Fatal(err)
		}
		got := ended(t, c, j)
		if got.Error != nil || got.Host != "h1" || !strings.Contains(string(got.Request), x.request) || !strings.Contains(string(got.Progress), x.progress) || !strings.Contains(string(got.Result), x.want) {
			t.Errorf("%s: %s %s %s, %v; want %s %s %s", got.Kind, got.Request, got.Progress, got.Result, got.Error, x.request, x.progress, x.want)
		}
		if got.Kind == JobPlan {
			plan = got.Result
		}
	}
	want := `pause 1h30m0s, resume, throttle {"bytes_per_second":0}, throttle {"tranquility":2.5}, run s1/07, scrub , plan s2, apply h1, rebuild plan s1, rebuild s1`
	if got := host.all(); got != want {
		t.Errorf("the host was told %s, want %s", got, want)
	}
	list, err := c.Jobs(ctx, "h1")
	if err != nil || len(list) != 5 || list[0].Kind != JobRun || list[4].Kind != JobRebuild || list[2].Result != nil {
		t.Errorf("jobs %+v, %v", list, err)
	}
}

// What package repair says in its own words reaches an operator with a code and a hint.
func TestRepairRefusals(t *testing.T) {
	host := &repairer{}
	c, _ := steered(t, host)
	for _, x := range []struct {
		err  error
		code int
		hint string
	}{
		{repair.ErrPaused, CodeRefused, "resume"},
		{fmt.Errorf("s1: %w: document game chess", repair.ErrMoved), CodeRefused, "a new plan"},
		{repair.ErrNothingHere, CodeNotFound, "trireme status"},
		{errors.New("torn cable"), CodeFailed, ""},
		{&Refusal{Code: CodeNotNow, Text: "not yet", Hint: "later"}, CodeNotNow, "later"},
	} {
		host.err = x.err
		j, err := c.BeginRun(t.Context(), "h1", repair.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		got := ended(t, c, j)
		if got.Error == nil || got.Error.Code != x.code || got.Error.Text != x.err.Error() || !strings.Contains(got.Error.Hint, x.hint) || got.Result != nil {
			t.Errorf("%v: %+v", x.err, got.Error)
		}
		_, err = c.Pause(t.Context(), "h1", time.Minute)
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != x.code {
			t.Errorf("%v: %v", x.err, err)
		}
	}
}

// One of each kind goes on at a time; who begins the same one again is given that one,
// and who begins another one hears of it.
func TestJobsOfAKind(t *testing.T) {
	host := &repairer{held: make(chan struct{})}
	c, _ := steered(t, host)
	ctx := t.Context()
	first, err := c.BeginScrub(ctx, "h1", repair.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.BeginScrub(ctx, "h1", repair.Scope{})
	if err != nil || again.ID != first.ID {
		t.Errorf("begun again: %+v, %v; want %s", again, err, first.ID)
	}
	_, err = c.BeginScrub(ctx, "h1", repair.Scope{Stripe: "s1"})
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != CodeRefused || !strings.Contains(r.Hint, "repair stop") {
		t.Errorf("another one: %v", err)
	}
	run, err := c.BeginRun(ctx, "h1", repair.Scope{})
	if err != nil || run.ID == first.ID {
		t.Errorf("another kind: %+v, %v", run, err)
	}
	if _, err := c.StopJob(ctx, "h1", first.ID); err != nil {
		t.Error(err)
	}
	if got := ended(t, c, first); got.Error == nil || got.Error.Code != CodeStopped {
		t.Errorf("stopped: %+v", got)
	}
	close(host.held)
	if got := ended(t, c, run); got.Error != nil {
		t.Errorf("%+v", got)
	}
	if got, err := c.StopJob(ctx, "h1", run.ID); err != nil || got.Error != nil {
		t.Errorf("stopped after its end: %+v, %v", got, err)
	}
	for range 3 * keptJobs {
		j, err := c.BeginScrub(ctx, "h1", repair.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		ended(t, c, j)
	}
	if list, err := c.Jobs(ctx, "h1"); err != nil || len(list) != keptJobs {
		t.Errorf("%d jobs are kept, %v", len(list), err)
	}
	_, err = c.Job(ctx, "h1", first.ID)
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != CodeNotFound || !strings.Contains(r.Hint, "repeat it") {
		t.Errorf("a job of long ago: %v", err)
	}
}

// A job does not end with whoever has begun it, and it ends with the host.
func TestJobsEndWithTheHost(t *testing.T) {
	host := &repairer{held: make(chan struct{})}
	c, control := steered(t, host)
	ctx, cancel := context.WithCancel(t.Context())
	j, err := c.BeginRun(ctx, "h1", repair.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if got, err := c.Job(t.Context(), "h1", j.ID); err != nil || got.Ended != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if err := control.Close(); err != nil {
		t.Error(err)
	}
	if got, err := control.jobs.get(j.ID); err != nil || got.Error == nil || got.Error.Code != CodeStopped || !strings.Contains(got.Error.Text, "closes") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := control.jobs.begin(JobRun, repair.Scope{}, nil); err == nil {
		t.Error("a job was begun on a closed host")
	}
	if host.all() != "" {
		t.Errorf("the host did %s", host.all())
	}
}

// A result that no message can carry is refused, and a large one is not kept for long.
func TestLargeResults(t *testing.T) {
	j := &jobs{host: "h1"}
	defer j.close()
	of := func(size int) Job {
		x, err := j.begin(JobPlan, size, func(context.Context, func(any)) (any, error) { return strings.Repeat("x", size), nil })
		if err != nil {
			t.Fatal(err)
		}
		for x.Ended == nil {
			if x, err = j.get(x.ID); err != nil {
				t.Fatal(err)
			}
		}
		return x
	}
	if got := of(maxJobReply); got.Error == nil || !strings.Contains(got.Error.Hint, "name a stripe") {
		t.Errorf("%+v", got.Error)
	}
	large := of(2 * keptResult)
	if large.Error != nil || len(large.Result) < 2*keptResult {
		t.Errorf("%d bytes, %v", len(large.Result), large.Error)
	}
	of(1)
	if _, err := j.get(large.ID); err == nil {
		t.Error("a large result is kept when the next one is there")
	}
}

func TestRepairVerbsRefuseWhatIsMalformed(t *testing.T) {
	host := &repairer{}
	control := &Control{Host: "h1", Status: member, Repair: host}
	good := DecideRebuild(RebuildPlan{Stripe: "s1", Birth: 3, Members: []RebuildMember{standing("h1", "3-120", "aa")}})
	refused := good
	refused.Refused = "the log is there"
	body := func(p RebuildPlan) string {
		text, _ := json.Marshal(rebuildRequest{&p})
		return string(text)
	}
	elsewhere, err := json.Marshal(plan.Plan{Host: "h2", Layout: 1, LayoutDigest: layout.Single("h2").Digest()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		verb, body string
		code       int
	}{
		{VerbInForce, `{"version":1}`, CodeMalformed},
		{VerbPause, ``, CodeMalformed},
		{VerbPause, `{"for":"for ever"}`, CodeMalformed},
		{VerbPause, `{"for":"0s"}`, CodeMalformed},
		{VerbPause, `{"for":"-1h"}`, CodeMalformed},
		{VerbPause, `{"for":"169h"}`, CodeMalformed},
		{VerbResume, `{"now":true}`, CodeMalformed},
		{VerbThrottle, `{}`, CodeMalformed},
		{VerbThrottle, `{"bytes_per_second":-1}`, CodeMalformed},
		{VerbThrottle, `{"tranquility":-0.1}`, CodeMalformed},
		{VerbThrottle, `{"tranquility":101}`, CodeMalformed},
		{VerbRun, `{"stripe":"s.1"}`, CodeMalformed},
		{VerbRun, `{"partition":"seven"}`, CodeMalformed},
		{VerbScrub, `{"deep":true}`, CodeMalformed},
		{VerbPlan, `[`, CodeMalformed},
		{VerbApply, `{}`, CodeMalformed},
		{VerbApply, `{"plan":"p"}`, CodeMalformed},
		{VerbApply, `{"plan":` + string(elsewhere) + `}`, CodeRefused},
		{VerbRebuildPlan, `{}`, CodeMalformed},
		{VerbRebuild, `{}`, CodeMalformed},
		{VerbRebuild, `{"plan":{"stripe":"s1"}}`, CodeMalformed},
		{VerbRebuild, body(refused), CodeRefused},
		{VerbJob, `{"stop":true}`, CodeMalformed},
		{VerbJob, `{"job":"none"}`, CodeNotFound},
		{VerbJob, `{"job":"none","stop":true}`, CodeNotFound},
	} {
		_, err := control.verbs()[c.verb](t.Context(), []byte(c.body))
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != c.code || r.Hint == "" {
			t.Errorf("%s %s: %v, want code %d", c.verb, c.body, err, c.code)
		}
	}
	if host.all() != "" {
		t.Errorf("the host was told %s", host.all())
	}
}
