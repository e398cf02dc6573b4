package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nuid"
)

const (
	keptJobs    = 8        // that have ended
	keptResult  = 1 << 20  // bytes of a result that is kept although another job of its kind begins
	maxJobReply = 32 << 20 // bytes of a result
)

// work is what a job does. progress may be called from any goroutine until it returns.
type work func(ctx context.Context, progress func(any)) (result any, err error)

// errStopped ends a job that an operator does not want any more.
var errStopped = &Refusal{Code: CodeStopped, Text: "an operator has stopped it", Hint: "what was repaired until then stays"}

// errClosing ends the jobs of a host that closes.
var errClosing = &Refusal{Code: CodeStopped, Text: "the host closes", Hint: "what was repaired until then stays; repeat it when the host is back"}

// jobs are those of a host, the oldest first. The zero value has none.
type jobs struct {
	host string

	mu     sync.Mutex
	closed bool
	all    []*job
	wait   sync.WaitGroup
}

type job struct {
	Job
	end context.CancelCauseFunc
}

// begin begins a job. Of each kind one goes on at a time: beginning the same one again
// gives that one, so that whoever has lost sight of it finds it. request is told to those
// who ask, and says which job is the same.
func (j *jobs) begin(kind JobKind, request any, do work) (Job, error) {
	told, err := json.Marshal(request)
	if err != nil {
		return Job{}, fmt.Errorf("begin %s: %w", kind, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return Job{}, errClosing
	}
	for _, x := range j.all {
		switch {
		case x.Kind != kind || x.Ended != nil:
		case bytes.Equal(x.Request, told):
			return x.Job, nil
		default:
			return Job{}, &Refusal{
				Code: CodeRefused, Text: fmt.Sprintf("another %s is under way on %s: %s", kind, j.host, x.Request),
				Hint: "wait for its end: `trireme repair status` shows it; or have it stopped: `trireme repair stop`",
			}
		}
	}
	j.forget(kind)
	ctx, end := context.WithCancelCause(context.Background())
	x := &job{Job: Job{ID: nuid.Next(), Host: j.host, Kind: kind, Request: told, Began: time.Now().UTC()}, end: end}
	j.all = append(j.all, x)
	j.wait.Go(func() { j.run(ctx, x, do) })
	return x.Job, nil
}

// forget makes room for a job of a kind.
func (j *jobs) forget(kind JobKind) {
	ended := 0
	for _, x := range j.all {
		if x.Ended != nil {
			ended++
		}
	}
	kept := j.all[:0]
	for _, x := range j.all {
		large := x.Kind == kind && len(x.Result) > keptResult
		if x.Ended != nil && (ended > keptJobs-1 || large) {
			ended--
			continue
		}
		kept = append(kept, x)
	}
	clear(j.all[len(kept):])
	j.all = kept
}

func (j *jobs) run(ctx context.Context, x *job, do work) {
	defer x.end(nil)
	result, err := do(ctx, func(v any) {
		if data, err := json.Marshal(v); err == nil { // progress that cannot be told is not
			j.mu.Lock()
			x.Progress = data
			j.mu.Unlock()
		}
	})
	data, err := encoded(result, err)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	now := time.Now().UTC()
	j.mu.Lock()
	defer j.mu.Unlock()
	x.Ended = &now
	if err != nil {
		x.Error = refusalOf(err)
		return
	}
	x.Result = data
}

func encoded(result any, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(result)
	if err == nil && len(data) > maxJobReply {
		err = &Refusal{Code: CodeRefused, Text: fmt.Sprintf("the result has %s, at most %s can be sent", Bytes(len(data)), Bytes(maxJobReply)), Hint: "ask for less at once: name a stripe or a partition"}
	}
	return data, err
}

// get is a job as it is now.
func (j *jobs) get(id string) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, x := range j.all {
		if x.ID == id {
			return x.Job, nil
		}
	}
	return Job{}, &Refusal{
		Code: CodeNotFound, Text: fmt.Sprintf("host %s knows of no job %s", j.host, id),
		Hint: "the host was started again since, or the job ended long ago; what it repaired stays: repeat it for the rest",
	}
}

// list is all of them, without what they have found.
func (j *jobs) list() []Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]Job, 0, len(j.all))
	for _, x := range j.all {
		told := x.Job
		told.Result = nil
		list = append(list, told)
	}
	return list
}

// stop has a job end early. One that has ended stays as it is.
func (j *jobs) stop(id string) (Job, error) {
	j.mu.Lock()
	for _, x := range j.all {
		if x.ID == id {
			x.end(errStopped)
		}
	}
	j.mu.Unlock()
	return j.get(id)
}

// close ends all of them and waits for that. None is begun after it.
func (j *jobs) close() {
	j.mu.Lock()
	j.closed = true
	for _, x := range j.all {
		x.end(errClosing)
	}
	j.mu.Unlock()
	j.wait.Wait()
}
