package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/internal/contract"
	"trireme/internal/layout"
	"trireme/internal/record"
)

// headerStripes, on a list that one host asks of another, names the stripes to
// list; on the answer those that the other could vouch for.
const headerStripes = "Trireme-Stripes"

// A query is a list, wherever it is answered.
type query struct {
	// list returns the first keys after the cursor, at most pageKeys, in buckets
	// that are accepted; nil accepts all.
	list func(accept func(layout.Bucket) bool) ([]contract.Key, error)
	// loose says that an owner need not prove that it is one.
	loose bool
}

// answerTo answers a query: of the stripes that are named, of those that this host
// owns, or of all that there are.
func (s *Service) answerTo(r *request, q *query, everywhere bool) func() (reply, error) {
	named := r.msg.Header[headerStripes]
	return func() (reply, error) {
		switch {
		case len(named) > 0:
			return s.section(r, q, named)
		case !everywhere:
			return page(q.list(s.owned()))
		case s.Directory == nil:
			return page(q.list(nil))
		}
		return s.gather(r, q)
	}
}

// section lists stripes for another host and says which of them it vouches for.
func (s *Service) section(r *request, q *query, stripes []string) (reply, error) {
	covered := s.vouch(s.ctx, r, q, stripes)
	answer, err := page(q.list(s.in(covered)))
	answer.header = nats.Header{headerStripes: covered}
	return answer, err
}

// gather lists all stripes, asking their owners, until each is covered.
func (s *Service) gather(r *request, q *query) (reply, error) {
	ctx, cancel := context.WithDeadline(s.ctx, r.due)
	defer cancel()
	missing := carrying(s.Layout())
	var all []section
	for pause := gatePauseMin; ; pause = min(2*pause, gatePauseMax) {
		changed := s.Directory.Changed()
		found, covered, err := s.round(ctx, r, q, missing)
		if err != nil {
			return reply{}, err
		}
		all = append(all, found...)
		missing = slices.DeleteFunc(missing, func(stripe string) bool { return slices.Contains(covered, stripe) })
		if len(missing) == 0 {
			return pageOf(join(all, pageKeys)), nil
		}
		if !rest(ctx, pause, changed) {
			return reply{}, s.away(missing[0])
		}
	}
}

// round asks the present owners of stripes, all at once.
func (s *Service) round(ctx context.Context, r *request, q *query, stripes []string) (all []section, covered []string, err error) {
	type result struct {
		section
		covered []string
		err     error
	}
	hosts := s.byOwner(stripes)
	results := make(chan result, len(hosts))
	for host, of := range hosts {
		go func() {
			var x result
			if host == s.Host {
				x.covered = s.vouch(ctx, r, q, of)
				x.keys, x.err = q.list(s.in(x.covered))
				x.more = len(x.keys) == pageKeys
			} else {
				x.section, x.covered, x.err = s.askSection(ctx, r, host, of)
			}
			results <- x
		}()
	}
	for range hosts {
		x := <-results
		if len(x.covered) > 0 {
			all = append(all, x.section)
		}
		covered, err = append(covered, x.covered...), errors.Join(err, x.err)
	}
	return all, covered, err
}

// byOwner groups stripes by the host that serves them; those of nobody are left
// out.
func (s *Service) byOwner(stripes []string) map[string][]string {
	hosts := map[string][]string{}
	for _, stripe := range stripes {
		host := s.Host
		if _, serving := s.serving(stripe); !serving {
			host, _ = s.Directory.Owner(stripe)
		}
		if host != "" {
			hosts[host] = append(hosts[host], stripe)
		}
	}
	return hosts
}

// askSection asks another host for a section. One that cannot answer now covers
// nothing.
func (s *Service) askSection(ctx context.Context, r *request, host string, stripes []string) (section, []string, error) {
	m, err := s.askHost(ctx, r, host, nats.Header{headerStripes: stripes})
	var body contract.KeysReply
	if err == nil {
		err = json.Unmarshal(m.Data, &body)
	}
	if err == nil && body.Cursor != "" && len(body.Keys) == 0 {
		err = errors.New("it promises more after no keys")
	}
	switch contract.CodeOf(err) {
	case 0, contract.NoOwner, contract.NoQuorum, contract.Deposed, contract.Overloaded:
	default:
		return section{}, nil, err
	}
	if err != nil {
		s.Logger.Debug("list of another host", "host", host, "error", err)
		return section{}, nil, nil
	}
	covered := slices.DeleteFunc(m.Header[headerStripes], func(stripe string) bool { return !slices.Contains(stripes, stripe) })
	return section{keys: body.Keys, more: body.Cursor != ""}, covered, nil
}

// askHost sends a list to one host, once. The answer is a success.
func (s *Service) askHost(ctx context.Context, r *request, host string, header nats.Header) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Hold/5)
	defer cancel()
	m := &nats.Msg{Subject: contract.SubjectPrefix + "h." + host + "." + r.op.name, Data: r.msg.Data, Header: header}
	if r.writer != "" {
		m.Header[contract.HeaderWriter] = []string{r.writer}
	}
	answer, err := s.Conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("ask host %s: %w", host, err)
	}
	code, err := codeIn(answer)
	if err == nil && code != 0 {
		err = refusalIn(answer, code)
	}
	return answer, err
}

// elsewhere has another host answer a list that names it.
func (s *Service) elsewhere(r *request, host string) (reply, error) {
	ctx, cancel := context.WithDeadline(s.ctx, r.due)
	defer cancel()
	for pause := gatePauseMin; ; pause = min(2*pause, gatePauseMax) {
		m, err := s.askHost(ctx, r, host, nats.Header{})
		if err == nil {
			return reply{body: json.RawMessage(m.Data)}, nil
		}
		if contract.CodeOf(err) != 0 {
			return reply{}, err
		}
		if !rest(ctx, pause, nil) {
			return reply{}, contract.Errorf(contract.NoOwner, "host %s has not answered within %v", host, s.Hold)
		}
	}
}

// vouch returns those of the stripes that this host owns: proved, unless the query
// is loose, by a commit that was asked for now. Else a host that was deposed while
// it stood still would list what it knew then.
func (s *Service) vouch(ctx context.Context, r *request, q *query, stripes []string) (mine []string) {
	ctx, cancel := context.WithTimeout(ctx, min(s.Hold/5, time.Until(r.due)))
	defer cancel()
	proofs := map[string]proof{}
	for _, stripe := range stripes {
		if c, serving := s.serving(stripe); serving && q.loose {
			mine = append(mine, stripe)
		} else if serving {
			if p := make(proof, 1); c.Submit(p, 0) == nil {
				proofs[stripe] = p
			}
		}
	}
	for stripe, p := range proofs {
		if p.holds(ctx) {
			mine = append(mine, stripe)
		}
	}
	return mine
}

// A proof is a proposal that changes nothing. Its end says whether this host was
// the owner when it was committed.
type proof chan error

// Prepare lets it take part in the commit.
func (p proof) Prepare(*record.Builder) bool { return true }

// Done tells the end.
func (p proof) Done(err error) { p <- err }

// holds waits for the end. What has not ended with ctx does not hold.
func (p proof) holds(ctx context.Context) bool {
	select {
	case err := <-p:
		return err == nil
	case <-ctx.Done():
		return false
	}
}

// carrying names the stripes that have documents, or may.
func carrying(l layout.Layout) (stripes []string) {
	for _, stripe := range l.Stripes {
		if len(l.PartitionsOf(stripe.Name)) > 0 {
			stripes = append(stripes, stripe.Name)
		}
	}
	return stripes
}

// in accepts the buckets of stripes.
func (s *Service) in(stripes []string) func(layout.Bucket) bool {
	l, among := s.Layout(), map[string]bool{}
	for _, stripe := range stripes {
		among[stripe] = true
	}
	return func(b layout.Bucket) bool {
		p, ok := l.PartitionOf(b)
		return ok && among[p.Stripe]
	}
}

// rest waits until there is reason to try again. It says false when the time is
// over.
func rest(ctx context.Context, pause time.Duration, changed <-chan struct{}) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
		return false
	}
	return true
}
