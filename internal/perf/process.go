package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "trireme")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "trireme/cmd/trireme").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return program, nil
}

// A process is a server that is measured.
type process struct {
	cmd  *exec.Cmd
	nats string // URL
	http string // host:port, "" for the bare server
	log  *bytes.Buffer
}

func startHost(ctx context.Context, program, data string) (*process, error) {
	natsAddress, err := freeAddress()
	if err != nil {
		return nil, err
	}
	httpAddress, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &process{
		cmd:  exec.Command(program, "serve", "--data", data, "--nats", natsAddress, "--http", httpAddress),
		nats: "nats://" + natsAddress, http: httpAddress, log: &bytes.Buffer{},
	}
	return p, p.start(ctx, "http://"+httpAddress+"/readyz")
}

func startConfig(ctx context.Context, program, path, natsAddress, httpAddress string) (*process, error) {
	p := &process{cmd: exec.Command(program, "serve", "--config", path), nats: "nats://" + natsAddress, http: httpAddress, log: &bytes.Buffer{}}
	return p, p.start(ctx, "http://"+httpAddress+"/readyz")
}

func startRaw(ctx context.Context, dir string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self, "-raw-server", dir+","+address), nats: "nats://" + address, log: &bytes.Buffer{}}
	return p, p.start(ctx, "")
}

// start waits until the URL answers 200, or until the NATS port is open.
func (p *process) start(ctx context.Context, url string) error {
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.answers(url) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the server is not ready: %w\n%s", ctx.Err(), p.log), p.stop())
		case <-tick.C:
		}
	}
}

func (p *process) answers(url string) bool {
	if url == "" {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.nats, "nats://"))
		if err != nil {
			return false
		}
		return c.Close() == nil
	}
	reply, err := http.Get(url)
	if err != nil {
		return false
	}
	_ = reply.Body.Close() // only the status counts
	return reply.StatusCode == http.StatusOK
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("server: %w\n%s", err, p.log)
	}
	return nil
}

// cpu is the processor time that the process has used.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2) // of a hundred ticks a second
}

// resident is the memory that the process has, in bytes.
func (p *process) resident() (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// serveRaw is a NATS server with JetStream and nothing else, synced as ours is.
func serveRaw(ctx context.Context, where string) error {
	dir, address, _ := strings.Cut(where, ",")
	o := &server.Options{}
	if err := o.ProcessConfigString(fmt.Sprintf("listen: %q\njetstream { store_dir: %q, sync_interval: always }\nmax_payload: 64MB", address, dir)); err != nil {
		return err
	}
	o.NoSigs = true
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	ctx, stop := notifyTerm(ctx)
	defer stop()
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
