package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"trireme/internal/semver"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// Where hosts are asked and told on NATS.
const (
	ServiceName   = "trireme"
	StatusSubject = "trireme.v1.status" // any host answers
)

// What one host is asked or told: the verbs of [HostSubject].
const (
	VerbStatus = "status"
	VerbDrain  = "drain"  // {"drain":true|false}
	VerbMove   = "move"   // {"stripe":"s1","to":"h2"}
	VerbLayout = "layout" // {}

	VerbInForce = "layout-in-force" // {}: answers with the layout

	// Of repair. Those that begin a [Job] answer with it.
	VerbRun         = "repair-run"    // a scope, {"stripe":"s1","partition":7} or less: begins a job
	VerbScrub       = "repair-scrub"  // likewise
	VerbPlan        = "repair-plan"   // likewise
	VerbApply       = "repair-apply"  // {"plan":{...}}: begins a job
	VerbPause       = "repair-pause"  // {"for":"2h"}
	VerbResume      = "repair-resume" // {}
	VerbThrottle    = "repair-rate"   // {"bytes_per_second":1000000,"tranquility":2} or one of them
	VerbRebuildPlan = "rebuild-plan"  // {"stripe":"s1"}
	VerbRebuild     = "rebuild"       // {"plan":{...}}: begins a job
	VerbJob         = "job"           // {"job":"ID"}, with "stop":true to end it; {} lists them
)

// HostSubject is where one host is asked or told something.
func HostSubject(host, verb string) string { return "trireme.v1.h." + host + "." + verb }

// A Controller does what operators ask of a host. An error that is a [Refusal]
// reaches them with its hint. Calls may come at once; each is given up when its ctx
// ends, after [ControlLimit] at the latest.
type Controller interface {
	// Drain notes whether the host should own nothing, and returns: the stripes are
	// handed over after that, and the status tells how far it is.
	Drain(ctx context.Context, on bool) error
	// Move hands a stripe that the host owns to another member, and returns when
	// that one serves it or will not.
	Move(ctx context.Context, stripe, to string) error
	// CheckLayout reads the layout's source now, as SIGHUP does. Its error says why
	// what is there is not in force.
	CheckLayout(ctx context.Context) error
}

// ControlLimit bounds what a [Controller] does for one request.
const ControlLimit = 30 * time.Second

// maxControls bounds the requests under way, maxLogged what is logged of each.
const (
	maxControls = 16
	maxLogged   = 1 << 10
)

// Control answers with a host's status on NATS, and does what operators tell it, as
// the micro service "trireme". Set the fields, then Start.
type Control struct {
	Conn       *nats.Conn       // stays the caller's
	Host       string           // one token of a subject
	Version    string           // semantic, with or without a leading v; anything else is told as 0.0.0
	Status     func() Status    // called for each request
	Controller Controller       // nil for a host that only tells
	Repair     RepairController // nil for a host that repairs nothing
	Logger     *slog.Logger     // what operators ask for is logged; nil for nowhere

	jobs    jobs
	service micro.Service
	stop    context.CancelFunc
	turns   chan struct{}

	mu     sync.Mutex // guards closed, and wait.Add against wait.Wait
	closed bool
	wait   sync.WaitGroup
}

// Start subscribes; when it returns, requests are answered.
func (c *Control) Start() error {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	service, err := micro.AddService(c.Conn, micro.Config{
		Name: ServiceName, Version: semver.Of(c.Version), Description: "Trireme's hosts: what state they are in, and what they are told",
		Metadata: map[string]string{"host": c.Host},
	})
	if err != nil {
		return fmt.Errorf("start control service: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c.service, c.stop, c.turns = service, stop, make(chan struct{}, maxControls)
	c.jobs.host = c.Host
	add := func(verb string, handle micro.HandlerFunc) error {
		return service.AddEndpoint(verb+"-"+c.Host, handle, micro.WithEndpointSubject(HostSubject(c.Host, verb)), micro.WithEndpointQueueGroupDisabled())
	}
	errs := []error{
		service.AddEndpoint("status", micro.HandlerFunc(c.tell), micro.WithEndpointSubject(StatusSubject)),
		add(VerbStatus, c.tell),
	}
	for verb, do := range c.verbs() {
		errs = append(errs, add(verb, func(r micro.Request) { c.perform(ctx, verb, do, r) }))
	}
	if err := errors.Join(append(errs, c.Conn.Flush())...); err != nil {
		return errors.Join(fmt.Errorf("start control service: %w", err), c.Close())
	}
	return nil
}

// Close ceases to answer, cuts short what is under way, jobs too, and waits for its
// end. It does nothing before Start.
func (c *Control) Close() error {
	if c.service == nil {
		return nil
	}
	err := c.service.Stop()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.jobs.close()
	c.wait.Wait()
	if err != nil {
		return fmt.Errorf("close control service: %w", err)
	}
	return nil
}

// tell answers with the status. A caller that cannot be answered, as when the
// connection closes, asks again; the service's statistics count what failed.
func (c *Control) tell(r micro.Request) {
	if data, err := json.Marshal(c.Status()); err != nil {
		_ = r.Error("500", err.Error(), nil)
	} else {
		_ = r.Respond(data)
	}
}

// perform does a verb beside the subscription, which goes on answering. It answers
// past the micro request, whose own methods belong to the subscription.
func (c *Control) perform(ctx context.Context, verb string, do verb, r micro.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return // the caller hears of it from the next host, or from its deadline
	}
	reply, body := r.Reply(), r.Data()
	select {
	case c.turns <- struct{}{}:
	default:
		c.answer(reply, nil, &Refusal{Code: CodeNotNow, Text: "too many requests are under way", Hint: "ask again in a moment"})
		return
	}
	c.wait.Go(func() {
		defer func() { <-c.turns }()
		ctx, cancel := context.WithTimeout(ctx, ControlLimit)
		defer cancel()
		result, err := do(ctx, body)
		c.Logger.Info("operator", "verb", verb, "request", string(body[:min(len(body), maxLogged)]), "error", err)
		c.answer(reply, result, err)
	})
}

// answer sends a result, or why there is none. Whoever hears nothing looks at the
// status.
func (c *Control) answer(to string, result any, err error) {
	if to == "" {
		return
	}
	m := nats.NewMsg(to)
	if err == nil {
		m.Data, err = json.Marshal(result)
	}
	if err != nil {
		refusalOf(err).write(m)
	}
	if err := c.Conn.PublishMsg(m); err != nil {
		c.Logger.Warn("operator is not answered", "error", err)
	}
}
