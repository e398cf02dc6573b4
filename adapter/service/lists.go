package service

import (
	"encoding/base64"
	"strings"

	"trireme/internal/contract"
	"trireme/internal/layout"
)

// pageKeys bounds one page of a list.
const pageKeys = 1000

func parseDeleting(s *Service, r *request) error {
	f, err := decode[contract.DeletingRequest](r.msg.Data)
	if err != nil {
		return err
	}
	after, err := parseCursor(f.Cursor)
	if err != nil {
		return err
	}
	q := &query{list: func(accept func(layout.Bucket) bool) ([]contract.Key, error) {
		return s.Store.Marked(after, pageKeys, accept)
	}}
	r.read = s.answerTo(r, q, r.came == toAny && s.Directory != nil)
	return nil
}

func parseInventory(s *Service, r *request) error {
	f, err := decode[contract.InventoryRequest](r.msg.Data)
	if err != nil {
		return err
	}
	after, err := parseCursor(f.Cursor)
	if err != nil {
		return err
	}
	if f.Host != "" && f.Host != s.Host {
		return parseElsewhere(s, r, f.Host)
	}
	q := &query{list: func(accept func(layout.Bucket) bool) ([]contract.Key, error) {
		return s.Store.Keys(after, pageKeys, accept)
	}}
	switch f.Scope {
	case "", contract.ScopeHost:
		r.read = s.answerTo(r, q, false)
	case contract.ScopeAll:
		r.read = s.answerTo(r, q, true)
	case contract.ScopeWriter:
		if r.writer == "" {
			return contract.Errorf(contract.Malformed, "scope writer needs the header %s", contract.HeaderWriter)
		}
		// What a writer has loaded is what the owners happen to know: no proof is worth
		// a commit.
		q = &query{loose: true, list: func(accept func(layout.Bucket) bool) ([]contract.Key, error) {
			return s.loaded.list(r.writer, after, pageKeys, accept), nil
		}}
		r.read = s.answerTo(r, q, true)
	default:
		return contract.Errorf(contract.Malformed, "scope %q is unknown: want host, all or writer", f.Scope)
	}
	return nil
}

// parseElsewhere is for an inventory of another host.
func parseElsewhere(s *Service, r *request, host string) error {
	if _, known := s.Layout().Host(host); !known {
		return contract.Errorf(contract.Malformed, "host %q is not in the layout: want one of its hosts, or leave host out", host)
	}
	if r.came != toAny {
		return contract.Errorf(contract.Malformed, "host %q did not get the request, %q did: ask %sh.%s.%s, or leave host out", host, s.Host, contract.SubjectPrefix, host, contract.OpInventory)
	}
	r.read = func() (reply, error) { return s.elsewhere(r, host) }
	return nil
}

// owned accepts the buckets whose stripe this host owns at present.
func (s *Service) owned() func(layout.Bucket) bool {
	l := s.Layout()
	serving := map[string]bool{}
	for _, stripe := range l.Stripes {
		if c := s.Committer(stripe.Name); c != nil {
			_, serving[stripe.Name] = c.Epoch()
		}
	}
	return func(b layout.Bucket) bool {
		p, ok := l.PartitionOf(b)
		return ok && serving[p.Stripe]
	}
}

func page(keys []contract.Key, err error) (reply, error) {
	return pageOf(keys, len(keys) == pageKeys), err
}

func pageOf(keys []contract.Key, more bool) reply {
	body := contract.KeysReply{Keys: keys}
	if more {
		body.Cursor = cursor(keys[len(keys)-1])
	}
	return reply{body: body}
}

// A cursor is the last key of a page: what comes next is what is greater, so a
// key that exists during the whole listing is listed once, whatever else comes
// and goes. The space cannot be told from the key by a separator, since either
// may hold any byte, so both are encoded apart.
func cursor(k contract.Key) string {
	return base64.RawURLEncoding.EncodeToString([]byte(k.Space)) + "." + base64.RawURLEncoding.EncodeToString([]byte(k.Key))
}

func parseCursor(s string) (contract.Key, error) {
	if s == "" {
		return contract.Key{}, nil
	}
	first, second, _ := strings.Cut(s, ".")
	space, err := base64.RawURLEncoding.DecodeString(first)
	key, err2 := base64.RawURLEncoding.DecodeString(second)
	k := contract.Key{Space: string(space), Key: string(key)}
	if err != nil || err2 != nil || contract.CheckKey(k) != nil {
		return contract.Key{}, contract.Errorf(contract.Malformed, "cursor %.64q: send the cursor of the page before, unchanged", s)
	}
	return k, nil
}
