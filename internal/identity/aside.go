package identity

import (
	"fmt"
	"path"
	"time"
)

// A plan is to set the data of a directory aside and to be somebody else. It is on
// disk before anything moves; each step may be done again.
type plan struct {
	Aside string `json:"aside"` // directory that takes the data
	Next  Self   `json:"next"`  // who the host is afterwards
}

// Reset carries out a verdict of that kind: the data of the directory is set aside,
// never deleted, and the host has a new disk id. What it has seen of others stays.
// When it fails, or a crash interrupts it, either nothing has been done or the next
// Reset or [Open] finishes it.
func (id *Identity) Reset(v Verdict, now time.Time) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	if v.Kind != Reset {
		return fmt.Errorf("the data is set aside only when that is the verdict, which is %s", v.Kind)
	}
	p, err := readPlan(&id.files)
	if err == nil && p == nil {
		p, err = id.plan(&v, now)
	}
	if err == nil {
		err = p.finish(&id.files)
	}
	if err != nil {
		return fmt.Errorf("data directory %s: set the data aside: %w", id.files.dir, err)
	}
	id.self = p.Next
	return nil
}

// plan decides, durably.
func (id *Identity) plan(v *Verdict, now time.Time) (*plan, error) {
	p := &plan{Next: id.self.replaced(v.Boot, v.Former, now)}
	stamp := now.UTC().Format(time.RFC3339)
	for n := 1; ; n++ {
		p.Aside = fmt.Sprintf("aside-%s-%d", stamp, n)
		taken, err := id.files.exists(p.Aside)
		if err != nil {
			return nil, err
		}
		if !taken {
			break
		}
	}
	text, err := seal(p)
	if err != nil {
		return nil, err
	}
	return p, id.files.write(planFile, text)
}

// readPlan returns nil when there is no plan.
func readPlan(f *files) (*plan, error) {
	text, err := f.read(planFile)
	if err != nil || text == nil {
		return nil, err
	}
	p, err := unseal[*plan](text)
	if err == nil && (p == nil || p.Aside == "" || p.Aside != path.Base(p.Aside) || p.Next.Disk == "") {
		err = errDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("file aside: %w; move jetstream, store, jetstream-mode, id and aside away by hand: the host then comes in empty", err)
	}
	return p, nil
}

// finishAside finishes what a crash has interrupted.
func finishAside(f *files) error {
	p, err := readPlan(f)
	if err == nil && p != nil {
		err = p.finish(f)
	}
	if err != nil {
		return fmt.Errorf("data directory %s: setting data aside was interrupted: %w", f.dir, err)
	}
	return nil
}

// finish does what is not done yet. The plan goes last, and no NATS server starts
// while it is there: whatever bears the names of data is old until then.
func (p *plan) finish(f *files) error {
	if err := f.mkdir(p.Aside); err != nil {
		return err
	}
	if err := p.keepID(f); err != nil {
		return err
	}
	for _, name := range []string{logDir, storeDir, modeFile} {
		if err := p.move(f, name); err != nil {
			return err
		}
	}
	text, err := seal(p.Next)
	if err != nil {
		return err
	}
	if err := f.write(idFile, text); err != nil {
		return err
	}
	return f.remove(planFile)
}

// keepID leaves a copy of the old id with its data.
func (p *plan) keepID(f *files) error {
	text, err := f.read(idFile)
	if err != nil || text == nil {
		return err
	}
	if self, err := unseal[Self](text); err == nil && self.Disk == p.Next.Disk {
		return nil // the new one is in place already
	}
	return f.write(path.Join(p.Aside, idFile), text)
}

func (p *plan) move(f *files, name string) error {
	there, err := f.exists(name)
	if err != nil || !there {
		return err
	}
	to := path.Join(p.Aside, name)
	for n := 2; ; n++ { // the name is taken only if people have put it there
		taken, err := f.exists(to)
		if err != nil {
			return err
		}
		if !taken {
			return f.rename(name, to)
		}
		to = path.Join(p.Aside, fmt.Sprintf("%s-%d", name, n))
	}
}
