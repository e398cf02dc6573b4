package drill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"trireme/internal/localcluster"
)

// fuseFaults are those of disks: each host's data directory lies on one of
// integration/faultdisk, whose README.md says what a power cut takes.
func fuseFaults() []fault {
	all := []fault{
		{
			name: "power cut, one host", what: "a host is killed and its disk loses what was not synced, every other time only a part of it; it is started again",
			strike: func(x *strike) { x.cutPower(x.victim()) },
		},
		{
			name: "power cut, two hosts", what: "two hosts are killed at one moment and their disks lose what was not synced; they are started again", outage: true,
			strike: func(x *strike) { x.cutPower(x.others(x.victim())...) },
		},
		{
			name: "power cut, all hosts", what: "all hosts are killed at one moment and their disks lose what was not synced; they are started again", outage: true, short: true,
			strike: func(x *strike) { x.cutPower(x.Hosts...) },
		},
		{
			name: "slow disk", what: "for 15 s every write and every fsync of a host takes 100 ms more",
			strike: func(x *strike) { x.ailing(x.victim(), 15*time.Second, "slow 100ms", "slow 0") },
		},
		{
			name: "failing writes", what: "for 10 s every write of a host to its disk fails (EIO); it is started again a second after it has ended, as often as that",
			strike: func(x *strike) { x.ailing(x.victim(), 10*time.Second, "fail write", "heal") },
		},
		{
			name: "failing writes, log", what: "as failing writes, but only under JetStream's files: the document store notices nothing",
			strike: func(x *strike) { x.ailing(x.victim(), 10*time.Second, "fail write ^jetstream", "heal") },
		},
		{
			name: "failing fsyncs, log", what: "as failing fsyncs, but only under JetStream's files",
			strike: func(x *strike) { x.unsynced("fail fsync ^jetstream") },
		},
		{
			name: "failing fsyncs", what: "for 10 s every fsync of a host fails (EIO), and what it should have written stays unwritten; then the host is killed, its disk loses what was not synced, and it is started again",
			strike: func(x *strike) { x.unsynced("fail fsync") },
		},
		{
			name: "failing reads", what: "a host is killed, and for 10 s every read of JetStream's files fails (EIO), the next time of the store's, then of all; it is started again a second after it has ended, as often as that",
			loaded: func(x *strike) { x.fill("fill", 200, 4000) },
			strike: func(x *strike) { // a host that runs has all that it needs in memory
				h := x.victim()
				x.must(h.Kill()) // the next start is a second away
				x.ailing(h, 10*time.Second, []string{"fail read ^jetstream/", "fail read ^store/", "fail read"}[x.n%3], "heal")
			},
		},
		{
			name: "disk full, log", what: "for 10 s a host has no room for JetStream's files; it is started again a second after it has ended, as often as that",
			strike: func(x *strike) { x.ailing(x.victim(), 10*time.Second, "full ^jetstream", "room") },
		},
		{
			name: "disk full, store", what: "for 10 s a host has no room for the document store's files; it is started again a second after it has ended, as often as that",
			strike: func(x *strike) { x.ailing(x.victim(), 10*time.Second, "full ^store", "room") },
		},
		{
			name: "disk full, both", what: "for 10 s a host has no room on its disk; it is started again a second after it has ended, as often as that",
			strike: func(x *strike) { x.ailing(x.victim(), 10*time.Second, "full", "room") },
		},
	}
	for i := range all {
		all[i].before = (*strike).onFaultDisks
	}
	return all
}

// unsynced lets fsyncs of a host fail, and takes its power when it has gone on.
func (x *strike) unsynced(failing string) {
	h := x.victim()
	x.ailing(h, 10*time.Second, failing, "heal")
	x.w.awaitAcked(50)
	x.cutPower(h)
}

// cutPower takes the power from hosts at one moment, and gives it back.
func (x *strike) cutPower(hosts ...*localcluster.Host) {
	x.t.Helper()
	x.power.Lock() // nobody starts them meanwhile
	defer x.power.Unlock()
	x.killAll(hosts...)
	for _, h := range hosts {
		lose := "lose"
		if x.n%2 == 1 { // what else was written is left to chance
			lose = fmt.Sprint("lose ", rand.Uint32())
		}
		x.tell(h, lose)
		x.t.Logf("%s: %s: %s", h.Name, lose, x.ask(h, "stat"))
	}
	x.startAll(hosts...)
}

// ailing lets the disk of a host be ill for a while.
func (x *strike) ailing(h *localcluster.Host, span time.Duration, ill, well string) {
	x.t.Helper()
	x.tell(h, ill)
	wait(span)
	x.tell(h, well)
	x.t.Logf("%s: %s for %v: started again %d times until now; %s", h.Name, ill, span, x.revived.Load(), x.ask(h, "stat"))
}

// revive starts a host again a second after it has ended by itself, as systemd would.
func (x *strike) revive(ctx context.Context, h *localcluster.Host) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for started := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		x.power.Lock()
		if started = started || h.Running(); started && !h.Running() && !x.over && ctx.Err() == nil {
			if err := h.Start(); err != nil {
				x.t.Error(err)
			}
			x.revived.Add(1)
		}
		x.power.Unlock()
	}
}

// A faultDisk is a disk that does what it is told.
type faultDisk struct {
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

// onFaultDisks gives each host such a disk, before it starts. The test is skipped where
// that cannot be.
func (x *strike) onFaultDisks() {
	x.t.Helper()
	if os.Geteuid() != 0 {
		x.t.Skip("needs root, to mount")
	}
	if fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		x.t.Skipf("needs FUSE: %v", err)
	} else {
		x.must(fuse.Close())
	}
	path, err := faultDiskProgram()
	x.must(err)
	x.disks = map[*localcluster.Host]*faultDisk{}
	ctx, cancel := context.WithCancel(context.Background())
	var revivers sync.WaitGroup
	x.t.Cleanup(func() {
		cancel()
		revivers.Wait()
		// The disk goes when nobody uses it any more.
		errs := []error{x.Close()}
		for _, d := range x.disks {
			errs = append(errs, d.close())
		}
		if err := errors.Join(errs...); err != nil {
			x.t.Error(err)
		}
	})
	for _, h := range x.Hosts {
		x.must(os.MkdirAll(h.Data, 0o700))
		d, err := newFaultDisk(path, filepath.Join(x.Dir, h.Name+".disk"), h.Data)
		x.must(err)
		x.disks[h] = d
		revivers.Go(func() { x.revive(ctx, h) })
	}
}

// faultDiskProgram is integration/faultdisk, built once.
var faultDiskProgram = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(program), "faultdisk")
	if out, err := exec.Command("go", "build", "-C", "../../integration/faultdisk", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build faultdisk: %w\n%s", err, out)
	}
	return path, nil
})

func newFaultDisk(path, backing, at string) (*faultDisk, error) {
	d := &faultDisk{process: exec.Command(path, backing, at)}
	d.process.Stderr = os.Stderr
	d.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt ends the hosts first
	var err error
	if d.in, err = d.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := d.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.out = bufio.NewScanner(out)
	if err := d.process.Start(); err != nil {
		return nil, err
	}
	if !d.out.Scan() || d.out.Text() != "ready" {
		return nil, errors.Join(fmt.Errorf("faultdisk says %q", d.out.Text()), d.close())
	}
	return d, nil
}

// close lets the program's input end, which ends it.
func (d *faultDisk) close() error { return errors.Join(d.in.Close(), d.process.Wait()) }

// ask gives a host's disk one command, and returns the answer.
func (x *strike) ask(h *localcluster.Host, command string) string {
	x.t.Helper()
	d := x.disks[h]
	_, err := fmt.Fprintln(d.in, command)
	x.must(err)
	if !d.out.Scan() {
		x.t.Fatalf("the disk of %s does not answer %q", h.Name, command)
	}
	return d.out.Text()
}

// tell gives a host's disk a command that must succeed.
func (x *strike) tell(h *localcluster.Host, command string) {
	x.t.Helper()
	if answer := x.ask(h, command); answer != "ok" {
		x.t.Fatalf("the disk of %s: %s: %s", h.Name, command, answer)
	}
}
