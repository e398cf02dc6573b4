package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// An engine is the container engine of this machine, and what this run has made there.
type engine struct {
	provider *testcontainers.DockerProvider
	docker   *client.Client
	run      string // names this run: machine and process

	images images
}

// ownerLabel is on everything that a run makes, with the run's name.
const ownerLabel = "trireme.test.run"

// answerLimit bounds the question whether there is an engine.
const answerLimit = 10 * time.Second

func findEngine() (e *engine, err error) {
	defer func() { // the library panics where it finds no engine's address
		if r := recover(); r != nil {
			err = fmt.Errorf("look for an engine: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return nil, err
	}
	if err := provider.Health(ctx); err != nil {
		return nil, errors.Join(err, provider.Close())
	}
	machine, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	e = &engine{provider: provider, docker: provider.Client().(*testcontainers.DockerClient).Client, run: machine + "/" + strconv.Itoa(os.Getpid())}
	return e, e.sweep(machine)
}

// close removes the images of this run.
func (e *engine) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(e.remove(ctx, e.run), e.provider.Close())
}

func (e *engine) labels() map[string]string { return map[string]string{ownerLabel: e.run} }

// sweep removes what runs on this machine have left that died.
func (e *engine) sweep(machine string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	runs, err := e.runs(ctx)
	if err != nil {
		return fmt.Errorf("look for what earlier runs have left: %w", err)
	}
	for run := range runs {
		pid, ours := strings.CutPrefix(run, machine+"/")
		if !ours || alive(pid) {
			continue
		}
		if err := e.remove(ctx, run); err != nil {
			return fmt.Errorf("remove what run %s has left: %w", run, err)
		}
	}
	return nil
}

// alive tells whether a process runs. One that has ended has no command line, also
// while nobody has asked what became of it.
func alive(pid string) bool {
	command, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
	return err == nil && len(command) > 0
}

// runs are the names of the runs of which there is something.
func (e *engine) runs(ctx context.Context) (map[string]bool, error) {
	with := make(client.Filters).Add("label", ownerLabel)
	found := map[string]bool{}
	containers, err1 := e.docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: with})
	for _, c := range containers.Items {
		found[c.Labels[ownerLabel]] = true
	}
	networks, err2 := e.docker.NetworkList(ctx, client.NetworkListOptions{Filters: with})
	for _, n := range networks.Items {
		found[n.Labels[ownerLabel]] = true
	}
	volumes, err3 := e.docker.VolumeList(ctx, client.VolumeListOptions{Filters: with})
	for _, v := range volumes.Items {
		found[v.Labels[ownerLabel]] = true
	}
	images, err4 := e.docker.ImageList(ctx, client.ImageListOptions{Filters: with})
	for _, i := range images.Items {
		found[i.Labels[ownerLabel]] = true
	}
	return found, errors.Join(err1, err2, err3, err4)
}

// remove removes all that a run has made, containers first and images last.
func (e *engine) remove(ctx context.Context, run string) error {
	with := make(client.Filters).Add("label", ownerLabel+"="+run)
	var errs []error
	containers, err := e.docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: with})
	errs = append(errs, err)
	for _, c := range containers.Items {
		_, err := e.docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		errs = append(errs, err)
	}
	networks, err := e.docker.NetworkList(ctx, client.NetworkListOptions{Filters: with})
	errs = append(errs, err)
	for _, n := range networks.Items {
		_, err := e.docker.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		errs = append(errs, err)
	}
	volumes, err := e.docker.VolumeList(ctx, client.VolumeListOptions{Filters: with})
	errs = append(errs, err)
	for _, v := range volumes.Items {
		_, err := e.docker.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true})
		errs = append(errs, err)
	}
	images, err := e.docker.ImageList(ctx, client.ImageListOptions{Filters: with})
	errs = append(errs, err)
	for _, i := range images.Items {
		_, err := e.docker.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// A run leaves nothing behind, whatever became of its tests.
func TestWhatARunHasMadeIsRemoved(t *testing.T) {
	e := needsEngine(t)
	run := "somewhere/" + strconv.Itoa(os.Getpid()) + "/" + t.Name()
	if _, err := e.docker.VolumeCreate(t.Context(), client.VolumeCreateOptions{Labels: map[string]string{ownerLabel: run}}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.docker.NetworkCreate(t.Context(), "trireme-test-"+strconv.Itoa(os.Getpid()), client.NetworkCreateOptions{Labels: map[string]string{ownerLabel: run}}); err != nil {
		t.Fatal(err)
	}
	if all, err := e.runs(t.Context()); err != nil || !all[run] {
		t.Errorf("what was made is not found: %v, %v", all, err)
	}
	if err := e.remove(t.Context(), run); err != nil {
		t.Error(err)
	}
	if all, err := e.runs(t.Context()); err != nil || all[run] {
		t.Errorf("something is left: %v, %v", all, err)
	}
}
