package layoutfile

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trireme/internal/layout"
)

type finding struct {
	version uint64
	err     error
}

// watch runs a source for the length of a test, and tells what it finds.
func watch(t *testing.T, s *Source) <-chan finding {
	t.Helper()
	found := make(chan finding, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		s.Watch(ctx, func(l layout.Layout, err error) { found <- finding{l.Version, err} })
	})
	t.Cleanup(func() {
		cancel()
		wait.Wait()
		if len(found) > 0 {
			t.Errorf("found %+v besides", <-found)
		}
	})
	return found
}

func expect(t *testing.T, found <-chan finding, version uint64, kind error) finding {
	t.Helper()
	select {
	case f := <-found:
		if f.version != version || !errors.Is(f.err, kind) || (kind == nil) != (f.err == nil) {
			t.Fatalf("found version %d, %v; want %d, %v", f.version, f.err, version, kind)
		}
		return f
	case <-time.After(time.Minute):
		t.Fatalf("nothing found within a minute, want %d, %v", version, kind)
		return finding{}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWatchAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layout.conf")
	text := string(Format(three(t, 1)))
	s := &Source{Location: path, Interval: time.Hour}
	found := watch(t, s)
	if f := expect(t, found, 0, ErrUnreachable); !errors.Is(f.err, fs.ErrNotExist) {
		t.Errorf("error %v", f.err)
	}
	for _, step := range []struct {
		text    string
		version uint64
		kind    error
	}{
		{text, 1, nil},
		{text[:len(text)-3], 0, ErrInvalid},
		{strings.ReplaceAll(text, "s1", "s 1"), 0, ErrInvalid},
		{text, 1, nil},
		{string(Format(three(t, 2))), 2, nil},
		{text, 1, nil}, // whether an older one is taken is not for a source to say
	} {
		write(t, path, step.text)
		s.Check()
		expect(t, found, step.version, step.kind)
	}
	write(t, path, "# another one\n"+text)
	s.Check()
	expect(t, found, 1, nil) // other bytes
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.Check()
	expect(t, found, 0, ErrUnreachable)
}

// It looks every interval, and tells only what is new.
func TestWatchByInterval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layout.conf")
	write(t, path, string(Format(three(t, 1))))
	synctest.Test(t, func(t *testing.T) {
		found := watch(t, &Source{Location: path, Interval: 2 * time.Second})
		begin := time.Now()
		expect(t, found, 1, nil)
		if took := time.Since(begin); took != 0 {
			t.Errorf("the first look came after %v", took)
		}
		for look := range 3 { // nothing new
			<-time.After(2 * time.Second)
			synctest.Wait()
			if len(found) > 0 {
				t.Fatalf("look %d found %+v", look, <-found)
			}
		}
		write(t, path, string(Format(three(t, 2))))
		expect(t, found, 2, nil)
		if took := time.Since(begin); took != 8*time.Second {
			t.Errorf("the change was found after %v, want 8s", took)
		}
	})
}

func TestWatchAURL(t *testing.T) {
	var answer atomic.Pointer[http.HandlerFunc]
	set := func(h http.HandlerFunc) { answer.Store(&h) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) }))
	defer server.Close()
	serve := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	set(serve(string(Format(three(t, 1)))))

	location := strings.Replace(server.URL, "http://", "http://user:secret@", 1) + "/layout.conf"
	s := &Source{Location: location, Interval: time.Hour}
	found := watch(t, s)
	expect(t, found, 1, nil)

	set(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "later", http.StatusServiceUnavailable) })
	s.Check()
	if f := expect(t, found, 0, ErrUnreachable); !strings.Contains(f.err.Error(), "503") || strings.Contains(f.err.Error(), "secret") {
		t.Errorf("error %v", f.err)
	}
	set(http.NotFound)
	s.Check()
	expect(t, found, 0, ErrUnreachable)
	set(serve("end: 1"))
	s.Check()
	if f := expect(t, found, 0, ErrInvalid); !strings.Contains(f.err.Error(), "/layout.conf:1: ") || strings.Contains(f.err.Error(), "secret") {
		t.Errorf("error %v", f.err)
	}
	set(serve(strings.Repeat("#", MaxBytes+1)))
	s.Check()
	expect(t, found, 0, ErrInvalid)
	set(func(w http.ResponseWriter, _ *http.Request) { // breaks off
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("version: 1\n"))
	})
	s.Check()
	if f := expect(t, found, 0, ErrUnreachable); strings.Contains(f.err.Error(), "secret") {
		t.Errorf("error %v", f.err)
	}
	set(serve(string(Format(three(t, 2)))))
	s.Check()
	expect(t, found, 2, nil)
	server.Close()
	s.Check()
	expect(t, found, 0, ErrUnreachable)
}

// A server that does not answer is given up on when the caller does.
func TestReadGivesUp(t *testing.T) {
	asked, done := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-done
	}))
	defer server.Close()
	defer close(done)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() {
		<-asked
		cancel()
	})
	defer wait.Wait()
	s := &Source{Location: server.URL}
	if _, err := s.Read(ctx); !errors.Is(err, ErrUnreachable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestReadRefusesWhatIsNoLocation(t *testing.T) {
	for _, location := range []string{"", "http://", "http://a b/", t.TempDir()} {
		s := &Source{Location: location}
		if l, err := s.Read(t.Context()); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%q: %+v, %v", location, l, err)
		}
	}
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "layout.conf")
	if _, err := Load(path); !errors.Is(err, ErrUnreachable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for version := range uint64(3) {
		l := three(t, version+1)
		if err := Save(path, l); err != nil {
			t.Fatal(err)
		}
		if got, err := Load(path); err != nil || !reflect.DeepEqual(got, l) {
			t.Errorf("%v: loaded %+v, want %+v", err, got, l)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v: the directory holds %v", err, entries)
	}
	if err := Save(filepath.Join(dir, "none", "layout.conf"), three(t, 1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	write(t, path, "version: 1")
	if _, err := Load(path); !errors.Is(err, ErrInvalid) {
		t.Errorf("half a file: %v", err)
	}
	// A file that cannot be put in place leaves nothing behind.
	if err := Save(dir, three(t, 1)); err == nil {
		t.Error("a directory was replaced")
	}
}
