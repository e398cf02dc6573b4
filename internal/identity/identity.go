package identity

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"syscall"
	"time"

	"trireme/internal/members"
)

// An Identity is who this host is, kept in its data directory, which it holds locked
// until Close. Its methods may be called at the same time.
type Identity struct {
	files files
	lock  *os.File
	save  sync.Mutex // held while seen is written; BEFORE mu

	mu    sync.Mutex // guards what follows
	self  Self
	seen  Seen
	own   Sighting // what the file of seen says of this host
	dirty bool     // seen is newer than its file
}

// ErrInUse is returned when another process has the data directory open.
var ErrInUse = errors.New("data directory is in use by another process")

// Open reads who the host of a data directory is. An empty directory gets an id, and
// so does one that a host standing alone has left before there were ids. It fails
// when the directory belongs to another host or another cluster, or to none where one
// is configured and the other way round, and when a file is damaged; it then has
// changed nothing. Setting data aside that a crash has interrupted is finished first.
func Open(dir, host, cluster string) (*Identity, error) { return open(files{dir: dir}, host, cluster) }

func open(f files, host, cluster string) (*Identity, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := lockDir(f.dir)
	if err != nil {
		return nil, err
	}
	id := &Identity{files: f, lock: lock}
	if err := id.load(host, cluster); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	id.own = id.seen.Hosts[id.self.Host]
	return id, nil
}

// lockDir takes the directory for this process. The kernel frees it however the
// process ends.
func lockDir(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w; end that process or choose another directory", ErrInUse, path, err), dir.Close())
	}
	return dir, nil
}

func (id *Identity) load(host, cluster string) error {
	f := &id.files
	if err := finishAside(f); err != nil {
		return err
	}
	if err := id.readSeen(); err != nil {
		return err
	}
	text, err := f.read(idFile)
	switch {
	case err != nil:
		return fmt.Errorf("data directory %s: file id: %w", f.dir, err)
	case text == nil:
		return id.create(host, cluster)
	}
	if id.self, err = unseal[Self](text); err != nil {
		return fmt.Errorf("data directory %s: file id: %w; %s", f.dir, err, restore)
	}
	return id.self.check(f.dir, host, cluster)
}

// Close saves what was seen, and lets the directory go.
func (id *Identity) Close() error { return errors.Join(id.Save(), id.lock.Close()) }

func (id *Identity) readSeen() error {
	text, err := id.files.read(seenFile)
	if err == nil && text != nil {
		id.seen, err = unseal[Seen](text)
	}
	if err != nil {
		return fmt.Errorf("data directory %s: file seen: %w; restore it, or remove it when no other host has lost its disk lately: "+
			"this host then knows nothing of the others until they report again", id.files.dir, err)
	}
	id.seen.whole()
	return nil
}

// create makes the id of a directory that has none.
func (id *Identity) create(host, cluster string) error {
	f := &id.files
	log, err := f.filled(logDir)
	if err != nil {
		return err
	}
	store, err := f.filled(storeDir)
	if err != nil {
		return err
	}
	clustered, err := f.clustered()
	if err != nil {
		return err
	}
	id.self = newSelf(host, cluster, time.Now())
	if log || store {
		if clustered {
			return fmt.Errorf("data directory %s: it has data of a host of a cluster, but no file id; %s", f.dir, restore)
		}
		id.self.Cluster = "" // only a host that stood alone ever ran without an id
		if err := id.self.check(f.dir, host, cluster); err != nil {
			return err
		}
	}
	return id.writeSelf(id.self)
}

func (id *Identity) writeSelf(s Self) error {
	text, err := seal(s)
	if err != nil {
		return err
	}
	return id.files.write(idFile, text)
}

// Self tells who the host is.
func (id *Identity) Self() Self {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.self
}

// Contents tells whether the data directory holds logs and a store at all. A store
// that is not there need not be opened to know that it has applied nothing.
func (id *Identity) Contents() (log, store bool, err error) {
	log, err1 := id.files.filled(logDir)
	store, err2 := id.files.filled(storeDir)
	return log, store, errors.Join(err1, err2)
}

// Own is what the disk remembers of its store, durably: how far it had come in a boot.
// What others are told to be durable must be remembered before.
func (id *Identity) Own() Sighting {
	id.mu.Lock()
	defer id.mu.Unlock()
	own := id.own
	own.Durable = maps.Clone(own.Durable)
	return own
}

// Remember notes how far the store has durably come, in this boot, for the next
// [Identity.Save].
func (id *Identity) Remember(durable map[string]uint64) {
	id.mu.Lock()
	defer id.mu.Unlock()
	now := Sighting{Disk: id.self.Disk, Boot: id.self.Boot, Durable: maps.Clone(durable)}
	known := id.seen.Hosts[id.self.Host]
	id.dirty = id.dirty || known.Disk != now.Disk || known.Boot != now.Boot || !maps.Equal(known.Durable, now.Durable)
	id.seen.Hosts[id.self.Host] = now
}

// Begin counts a start of the host, durably, and returns the number of its boot. It
// is called after [Admit] has said so, just before the NATS server starts. An order
// to readmit the host is used up by it.
func (id *Identity) Begin() (boot uint64, err error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	next := id.self
	next.Boot++
	next.Begun = true
	if err := id.writeSelf(next); err != nil {
		return 0, fmt.Errorf("data directory %s: count the start: %w", id.files.dir, err)
	}
	id.self = next
	if err := id.files.remove(orderFile); err != nil {
		return 0, fmt.Errorf("data directory %s: remove the order to readmit: %w", id.files.dir, err)
	}
	return next.Boot, nil
}

// See remembers what a running host has reported, of those reports that
// [members.Table.Hear] has taken, and returns true when [Identity.Save] should be
// called soon rather than with the next turn.
func (id *Identity) See(r members.Report) (soon bool) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if r.Host == id.self.Host || r.Host == "" || r.Disk == "" {
		return false
	}
	changed, soon := id.seen.see(&r)
	id.dirty = id.dirty || changed
	return soon
}

// Save makes durable what was seen. It does nothing when nothing is new.
func (id *Identity) Save() error {
	id.save.Lock()
	defer id.save.Unlock()
	id.mu.Lock()
	if !id.dirty {
		id.mu.Unlock()
		return nil
	}
	text, err := seal(id.seen)
	own := id.seen.Hosts[id.self.Host]
	id.dirty = false
	id.mu.Unlock()
	if err == nil {
		err = id.files.write(seenFile, text)
	}
	if err != nil {
		id.mu.Lock()
		id.dirty = true
		id.mu.Unlock()
		return fmt.Errorf("data directory %s: save what was seen: %w", id.files.dir, err)
	}
	id.mu.Lock()
	id.own = own
	id.mu.Unlock()
	return nil
}
