package localcluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if parentRole() {
		fmt.Println(beParent())
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// parentRole tells whether this run of the test program is to start a process and
// say its number.
func parentRole() bool { return os.Getenv("LOCALCLUSTER_PARENT") != "" }

func beParent() error {
	p := &Process{Name: "child", Program: "/bin/sleep", Args: []string{"1000"}, Log: os.DevNull}
	if err := errors.Join(p.Start(), p.Freeze()); err != nil {
		return err
	}
	fmt.Println(p.Pid())
	<-p.Exited()
	return errors.New("the child has ended")
}

// However this process ends, those that it has started end with it, frozen ones too.
func TestNoProcessSurvivesItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), "LOCALCLUSTER_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(line)
	}
	if !stopped(child) {
		t.Error("the child is not stopped")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = Await(ctx, "the end of the child", func(context.Context) error {
		if syscall.Kill(child, 0) == nil && !zombie(child) {
			return errors.New("it lives")
		}
		return nil
	})
	if err != nil {
		_ = syscall.Kill(child, syscall.SIGKILL)
		t.Error(err)
	}
}

// zombie tells whether a process has ended and only its entry is left.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
