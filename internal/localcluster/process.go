package localcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A Process is a program that can be started again and again. Set the fields, then
// Start. Its methods may be called from several goroutines.
type Process struct {
	Name    string   // for people
	Program string   // path of the executable
	Args    []string // its arguments
	Log     string   // the file that its output is appended to

	mu     sync.Mutex
	run    *run
	frozen bool
}

// A run is one life of the process.
type run struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

func (r *run) alive() bool {
	if r == nil {
		return false
	}
	select {
	case <-r.exited:
		return false
	default:
		return true
	}
}

// tend starts the process and waits for its end. It keeps its thread all the while:
// the kernel ends the process together with the thread that started it.
func (r *run) tend(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := r.cmd.Start()
	started <- err
	if err == nil {
		_ = r.cmd.Wait() // how it ended is in ProcessState
	}
	close(r.exited)
}

// Start starts the process and does not wait until it serves.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run.alive() {
		return fmt.Errorf("start %s: it runs already, as %d", p.Name, p.run.cmd.Process.Pid)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer log.Close() // the process has it too
	r := &run{cmd: exec.Command(p.Program, p.Args...), exited: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.SysProcAttr = leashed()
	started := make(chan error, 1)
	go r.tend(started)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.run, p.frozen = r, false
	return nil
}

// Running tells whether the process lives; a frozen one does.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run.alive()
}

// Frozen tells whether the process lives and is stopped by [Process.Freeze].
func (p *Process) Frozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen && p.run.alive()
}

// Pid is the number of the process, 0 while none runs.
func (p *Process) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.run.alive() {
		return 0
	}
	return p.run.cmd.Process.Pid
}

// Exited is closed when the present life of the process is over, nil before the first.
func (p *Process) Exited() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return nil
	}
	return p.run.exited
}

// Kill ends the process as a power cut would, without a word, and returns when it is
// gone. One that does not run is left alone.
func (p *Process) Kill() error {
	_, err := p.end(context.Background(), syscall.SIGKILL)
	return err
}

// Terminate asks the process to end in order, thawing it before, and returns its
// exit code. When ctx ends first the process is killed.
func (p *Process) Terminate(ctx context.Context) (int, error) {
	if err := p.Thaw(); err != nil {
		return -1, err
	}
	return p.end(ctx, syscall.SIGTERM)
}

// killLimit bounds the wait for a killed process, which may be writing to a slow disk.
const killLimit = time.Minute

func (p *Process) end(ctx context.Context, with syscall.Signal) (int, error) {
	p.mu.Lock()
	r := p.run
	p.frozen = p.frozen && with != syscall.SIGKILL
	p.mu.Unlock()
	if r == nil {
		return 0, nil
	}
	if err := r.signal(with); err != nil {
		return -1, fmt.Errorf("end %s: %w", p.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, killLimit)
	defer cancel()
	select {
	case <-r.exited:
		return r.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
	}
	err := fmt.Errorf("%s has not ended after %v: %w", p.Name, with, ctx.Err())
	if with != syscall.SIGKILL {
		return -1, errors.Join(err, p.Kill())
	}
	return -1, err
}

// signal reaches a process that lives; one that has ended needs none.
func (r *run) signal(s syscall.Signal) error {
	if err := r.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Signal sends a signal that neither ends nor freezes the process, SIGHUP for one.
func (p *Process) Signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.run.alive() {
		return fmt.Errorf("signal %s: it does not run", p.Name)
	}
	return p.run.signal(s)
}

// Freeze stops the process where it stands, and returns when it does: sockets stay
// open, clocks go on, nothing is answered.
func (p *Process) Freeze() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.run.alive() {
		return fmt.Errorf("freeze %s: it does not run", p.Name)
	}
	if err := Freeze(p.run.cmd.Process); err != nil {
		return fmt.Errorf("freeze %s: %w", p.Name, err)
	}
	p.frozen = true
	return nil
}

// Thaw lets a frozen process go on; another is left alone.
func (p *Process) Thaw() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.frozen || !p.run.alive() {
		return nil
	}
	if err := p.run.signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("thaw %s: %w", p.Name, err)
	}
	p.frozen = false
	return nil
}

// Freeze stops any process of this user, and returns when it stands still. SIGCONT
// lets it go on.
func Freeze(process *os.Process) error {
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), killLimit)
	defer cancel()
	return Await(ctx, "a stopped process", func(context.Context) error {
		if !stopped(process.Pid) {
			return errors.New("it runs")
		}
		return nil
	})
}

// Close kills the process if it runs.
func (p *Process) Close() error { return p.Kill() }

// Tail is the end of what the process has written in all its lives, at most n bytes.
func (p *Process) Tail(n int64) string {
	f, err := os.Open(p.Log)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(n, info.Size()))
	got, _ := f.ReadAt(b, max(0, info.Size()-n)) // what there is, is shown
	return string(b[:got])
}
