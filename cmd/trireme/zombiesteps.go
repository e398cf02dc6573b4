package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/nats-io/nuid"

	"trireme/adapter"
	"trireme/internal/contract"
	"trireme/internal/localcluster"
	"trireme/ops"
)

// A zombie is a drill under way.
type zombie struct {
	*zombieVictim
	app      *app
	straight *nats.Conn // to the owner and nobody else
	others   *nats.Conn // to the other hosts
	client   *adapter.Client
	docs     []*zombieDoc
	frozen   bool
	took     struct{ takeover, frozen time.Duration }
	next     ops.Stripe // as its new owner tells of it
}

// A zombieDoc is a document that both owners are asked to change.
type zombieDoc struct {
	key    string
	lateID string
	reply  *nats.Subscription
	code   contract.Code
	answer string
	newID  string
}

const (
	zombieSpace = "trireme-zombie-drill"
	// zombieAnswer bounds the wait for an answer, tries after the first included: a
	// request is held for up to 20 s, and an election takes up to 10 s.
	zombieAnswer = time.Minute
)

func (a *app) newZombie(v *zombieVictim) (*zombie, error) {
	z := &zombie{zombieVictim: v, app: a}
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // calls tell
	var err error
	z.straight, err = nats.Connect("nats://"+v.host.NATS, nats.Name("trireme zombie-drill"), nats.Timeout(dialLimit),
		nats.IgnoreDiscoveredServers(), nats.NoReconnect(), nats.PingInterval(time.Hour), quiet)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", v.host.NATS, err)
	}
	var urls []string
	for _, h := range v.others {
		urls = append(urls, "nats://"+h.NATS)
	}
	servers := func(o *nats.Options) error {
		o.Servers = urls
		return nil
	}
	z.others, err = nats.Connect("", servers, nats.Name("trireme zombie-drill"), nats.Timeout(dialLimit),
		nats.IgnoreDiscoveredServers(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), quiet)
	if err != nil {
		z.straight.Close()
		return nil, fmt.Errorf("connect to %v: %w", urls, err)
	}
	z.client, err = adapter.NewClient(z.others)
	if err != nil {
		z.close()
		return nil, err
	}
	return z, nil
}

// close lets the host go on, whatever happened.
func (z *zombie) close() {
	_ = z.thaw() // it is told by whoever has thawed it before
	z.straight.Close()
	z.others.Close()
}

func (z *zombie) thaw() error {
	if !z.frozen {
		return nil
	}
	if err := z.process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("let process %d go on: %w", z.process.Pid, err)
	}
	z.frozen = false
	return nil
}

// makeDocs makes documents on the stripe.
func (z *zombie) makeDocs(ctx context.Context, n int) error {
	run := nuid.Next()
	for i := 0; len(z.docs) < n; i++ {
		key := fmt.Sprintf("%s-%d", run, i)
		at, err := z.client.Locate(ctx, zombieSpace, key)
		if err != nil {
			return err
		}
		if at.Stripe != z.stripe.Name {
			continue
		}
		first := adapter.Update{SeqBegin: 0, SeqEnd: 1, Redo: `{"by":"nobody"}`, Undo: `{}`, UpdateType: adapter.Internal}
		if err := z.client.Initialize(ctx, zombieSpace, key, first); err != nil {
			return err
		}
		z.docs = append(z.docs, &zombieDoc{
			key:    key,
			lateID: "late-" + nuid.Next(), newID: "new-" + nuid.Next(),
		})
	}
	return nil
}

// deleteDocs tidies up. What cannot be deleted harms nobody.
func (z *zombie) deleteDocs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, z.app.timeout)
	defer cancel()
	for _, d := range z.docs {
		if err := z.client.Delete(ctx, zombieSpace, d.key); err != nil {
			z.app.say("the document %s/%s is left: %v", zombieSpace, d.key, err)
			return
		}
	}
}

// freeze stops the owner, shows it the late patches, has another host take over and
// make the same patches, and lets the owner go on.
func (z *zombie) freeze(ctx context.Context, limit time.Duration) error {
	z.app.say("freezing %s, which owns %s: kill -STOP %d (if this program is killed, kill -CONT %d lets it go on)", z.host.Name, z.stripe.Name, z.process.Pid, z.process.Pid)
	z.frozen = true
	began := time.Now()
	if err := localcluster.Freeze(z.process); err != nil {
		return fmt.Errorf("freeze process %d: %w", z.process.Pid, err)
	}
	for _, d := range z.docs {
		if err := z.sendLate(d); err != nil {
			return fmt.Errorf("send a patch to the frozen host: %w", err)
		}
	}
	if err := z.takeover(ctx, limit); err != nil {
		return err
	}
	z.took.takeover = time.Since(began)
	z.app.say("%s has taken over after %s, with epoch %s", z.next.Owner, short(z.took.takeover), z.next.Epoch)
	for _, d := range z.docs {
		ctx, cancel := context.WithTimeout(ctx, zombieAnswer)
		err := z.client.Patch(ctx, zombieSpace, d.key, []adapter.Update{zombieUpdate("new")}, adapter.WithRequestID(d.newID))
		cancel()
		if err != nil {
			return fmt.Errorf("patch by way of the new owner: %w", err)
		}
	}
	if err := z.thaw(); err != nil {
		return err
	}
	z.took.frozen = time.Since(began)
	z.app.say("%s goes on after %s", z.host.Name, short(z.took.frozen))
	return nil
}

func zombieUpdate(by string) adapter.Update {
	return adapter.Update{SeqBegin: 2, SeqEnd: 2, Redo: fmt.Sprintf(`{"by":%q}`, by), Undo: `{"by":"nobody"}`, UpdateType: adapter.Internal}
}

// sendLate puts a patch into the owner's socket, as a client of that host does.
func (z *zombie) sendLate(d *zombieDoc) error {
	body, err := json.Marshal(contract.PatchRequest{Space: zombieSpace, Key: d.key, Patches: []adapter.Update{zombieUpdate("late")}})
	if err != nil {
		return err
	}
	m := &nats.Msg{
		Subject: contract.SubjectPrefix + contract.OpPatch, Reply: z.straight.NewRespInbox(), Data: body,
		Header: nats.Header{contract.HeaderRequestID: []string{d.lateID}},
	}
	if d.reply, err = z.straight.SubscribeSync(m.Reply); err != nil {
		return err
	}
	return z.straight.PublishMsg(m)
}

// takeover waits until another host serves the stripe.
func (z *zombie) takeover(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := ops.Client{Conn: z.others}
	return localcluster.Await(ctx, "another owner of stripe "+z.stripe.Name, func(ctx context.Context) error {
		why := errors.New("nobody serves it")
		for _, h := range z.zombieVictim.others {
			asked, cancel := context.WithTimeout(ctx, peerLimit)
			s, err := c.Status(asked, h.Name)
			cancel()
			if err != nil {
				why = fmt.Errorf("%w, as far as is known: %w", why, err)
				continue
			}
			for i := range s.Stripes {
				if p := &s.Stripes[i]; p.Name == z.stripe.Name && p.Owner == h.Name && p.Served(h.Name) {
					z.next = *p
					return nil
				}
			}
		}
		return why
	})
}

// hear takes the answers of the thawed host.
func (z *zombie) hear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, zombieAnswer)
	defer cancel()
	for _, d := range z.docs {
		if err := z.hearOf(ctx, d); err != nil {
			return fmt.Errorf("hear the thawed host: %w", err)
		}
	}
	return nil
}

// hearOf takes the answer about one document. When the host cannot tell the outcome,
// as while the owners change once more, it is asked again under the same request id:
// that is what the answer advises, and it acts once at most.
func (z *zombie) hearOf(ctx context.Context, d *zombieDoc) error {
	for {
		m, err := d.reply.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrConnectionClosed):
			if d.answer == "" {
				d.code, d.answer = contract.OutcomeUnknown, "no answer: "+err.Error()
			}
			return nil
		case err != nil:
			return err
		}
		if d.hear(m); d.code != contract.OutcomeUnknown {
			return nil
		}
		if err := z.sendLate(d); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
	}
}

func (d *zombieDoc) hear(m *nats.Msg) {
	text := m.Header.Get(micro.ErrorCodeHeader)
	if text == "" {
		d.answer = "success"
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		d.code, d.answer = contract.OutcomeUnknown, "unreadable: "+text
		return
	}
	d.code = contract.Code(n)
	d.answer = fmt.Sprintf("%d %s", n, d.code.Name())
}
