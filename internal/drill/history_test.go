package drill

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The model of one document: a head that moves by compare-and-append, and the
// request id that moved it last.

type docState struct {
	head int32
	last string
}

type docInput struct {
	patch bool
	seq   int32  // of a patch: its seq_begin and seq_end
	id    string // of a patch
}

type docOutput struct {
	result outcome
	head   int32  // of a get
	last   string // of a get
}

type outcome uint8

const (
	success outcome = iota
	headDiffers
	unknown // may have happened, now or later
)

func documentModel(start docState) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(state, input, output any) (bool, any) {
			s, in, out := state.(docState), input.(docInput), output.(docOutput)
			if !in.patch {
				return out.head == s.head && out.last == s.last, s
			}
			fits := in.seq == s.head+1
			next := docState{in.seq, in.id}
			switch {
			case out.result == unknown && !fits:
				return true, s
			case out.result == headDiffers:
				return !fits, s
			}
			return fits, next
		},
		DescribeOperation: func(input, output any) string {
			in, out := input.(docInput), output.(docOutput)
			if in.patch {
				return fmt.Sprintf("patch %d (%s): %d", in.seq, in.id, out.result)
			}
			return fmt.Sprintf("get: %d (%s)", out.head, out.last)
		},
	}
}

// A history is what clients saw of one document.
type history struct {
	mu    sync.Mutex
	began time.Time
	ops   []porcupine.Operation
}

func (h *history) now() int64 { return int64(time.Since(h.began)) }

func (h *history) add(client int, in docInput, called int64, out docOutput) {
	returned := h.now()
	if out.result == unknown {
		returned = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: called, Output: out, Return: returned})
}

// judge fails the test unless the history is linearizable, and tells.
func (h *history) judge(t testing.TB, name string, start docState) bool {
	t.Helper()
	result, _ := porcupine.CheckOperationsVerbose(documentModel(start), h.ops, 2*time.Minute)
	if result != porcupine.Ok {
		t.Errorf("%s: the history of %d operations is not linearizable: %v", name, len(h.ops), result)
	}
	return result == porcupine.Ok
}

// The judge must be able to say no.
func TestTheJudgeSeesWhatIsWrong(t *testing.T) {
	patch := func(seq int32, call, ret int64, result outcome) porcupine.Operation {
		return porcupine.Operation{Input: docInput{true, seq, fmt.Sprint(seq)}, Call: call, Return: ret, Output: docOutput{result: result}}
	}
	get := func(head int32, call, ret int64) porcupine.Operation {
		return porcupine.Operation{Input: docInput{}, Call: call, Return: ret, Output: docOutput{head: head, last: fmt.Sprint(head)}}
	}
	for name, c := range map[string]struct {
		ops  []porcupine.Operation
		want bool
	}{
		"in order":              {[]porcupine.Operation{patch(2, 0, 1, success), get(2, 2, 3)}, true},
		"a lost change":         {[]porcupine.Operation{patch(2, 0, 1, success), get(1, 2, 3)}, false},
		"a stale read":          {[]porcupine.Operation{patch(2, 0, 1, success), patch(3, 2, 3, success), get(2, 4, 5)}, false},
		"two winners":           {[]porcupine.Operation{patch(2, 0, 5, success), patch(2, 1, 6, success)}, false},
		"a false refusal":       {[]porcupine.Operation{patch(2, 0, 1, headDiffers)}, false},
		"unknown, happened":     {[]porcupine.Operation{patch(2, 0, math.MaxInt64, unknown), get(2, 2, 3)}, true},
		"unknown, not happened": {[]porcupine.Operation{patch(2, 0, math.MaxInt64, unknown), get(1, 2, 3)}, true},
	} {
		if got := porcupine.CheckOperations(documentModel(docState{1, "1"}), c.ops); got != c.want {
			t.Errorf("%s: linearizable %v, want %v", name, got, c.want)
		}
	}
}
