package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// stopLimit bounds an orderly end; a process that takes longer is killed.
const stopLimit = 40 * time.Second

// A process is one server of a cluster. Its output is a file in the cluster's
// directory.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // of the end, once ended is closed
}

func startProcess(dir, name, program string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(program, args...), log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = childAttributes()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) usage() (usage, error) { return usageOf(strconv.Itoa(p.cmd.Process.Pid)) }

// fault says how the process ended and what it wrote last.
func (p *process) fault() error {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s ended: %w\n%s", p.name, cmp.Or(p.err, errEnded), text[max(0, len(text)-2000):])
}

var errEnded = errors.New("by itself, exit 0")

// terminate asks the process to end.
func (p *process) terminate() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
}

// wait waits for the end that terminate asked for.
func (p *process) wait(limit <-chan time.Time) error {
	select {
	case <-p.ended:
		return nil
	case <-limit:
		_ = p.cmd.Process.Kill() // it may just have ended
		<-p.ended
		return fmt.Errorf("%s did not end within %v of SIGTERM and was killed", p.name, stopLimit)
	}
}
