package adapter

import (
	"context"
	"fmt"
	"iter"
	"math"

	"trireme/internal/contract"
)

// Deleting lists the documents that are marked for deletion and not yet removed,
// by space, then key. An error ends the list.
func (c *Client) Deleting(ctx context.Context) iter.Seq2[Key, error] {
	return c.list(ctx, "", func(cursor string) *call {
		return &call{op: contract.OpDeleting, body: contract.DeletingRequest{Cursor: cursor}}
	})
}

// Inventory lists documents by space, then key. A document that exists during
// the whole listing is listed exactly once. Pages are asked for as the loop goes
// on; an error ends the list.
func (c *Client) Inventory(ctx context.Context, which InventoryRequest) iter.Seq2[Key, error] {
	if which.Host != "" {
		if err := checkHost(which.Host); err != nil {
			return fail[Key](&CallError{Op: contract.OpInventory, Err: err})
		}
	}
	return c.list(ctx, which.Cursor, func(cursor string) *call {
		body := which
		body.Cursor = cursor
		return &call{op: contract.OpInventory, host: which.Host, body: body}
	})
}

// History yields a document's retained log page by page, oldest entry first,
// the initialize included. It sees every change that was acknowledged before
// History was called. It fails with [ErrNotFound], [ErrBeingDeleted] and
// [ErrChanged]; an error ends it.
func (c *Client) History(ctx context.Context, which HistoryRequest) iter.Seq2[History, error] {
	key := Key{Space: which.Space, Key: which.Key}
	return func(yield func(History, error) bool) {
		body, end := which, pageEnd{}
		for {
			r := call{op: contract.OpHistory, key: key, toOwner: true, body: body}
			var page History
			if _, err := c.ask(ctx, &r, nil, &page); err != nil {
				yield(History{}, err)
				return
			}
			var err error
			if end, err = follow(end, &page); err != nil {
				yield(History{}, r.refused(err))
				return
			}
			if !yield(page, nil) || !end.more {
				return
			}
			body.FromSeq = new(end.next)
		}
	}
}

// pageEnd is where a page of history ends, and so where the next one begins.
type pageEnd struct {
	more        bool
	next        int32
	incarnation string
}

// follow checks that a page goes on where the one before it ended, if there was
// one, and that there is a place to go on from.
func follow(before pageEnd, page *History) (pageEnd, error) {
	none := len(page.Entries) == 0
	if before.more {
		switch {
		case page.Incarnation != before.incarnation,
			none && page.Seq >= before.next,
			!none && page.Entries[0].SeqBegin > before.next:
			return pageEnd{}, ErrChanged
		}
	}
	if !page.More {
		return pageEnd{}, nil
	}
	if none {
		return pageEnd{}, fmt.Errorf("%w: it promises more history after no entries", errReply)
	}
	last := page.Entries[len(page.Entries)-1].SeqEnd
	if last == math.MaxInt32 || before.more && last < before.next {
		return pageEnd{}, fmt.Errorf("%w: it promises more history after seq %d", errReply, last)
	}
	return pageEnd{more: true, next: last + 1, incarnation: page.Incarnation}, nil
}

// list yields the keys of page after page, beginning at a cursor.
func (c *Client) list(ctx context.Context, start string, request func(cursor string) *call) iter.Seq2[Key, error] {
	return func(yield func(Key, error) bool) {
		cursor := start
		for {
			var page contract.KeysReply
			r := request(cursor)
			_, err := c.do(ctx, r, &page)
			if err == nil && page.Cursor != "" && page.Cursor == cursor {
				err = r.refused(fmt.Errorf("%w: its cursor is the one that was sent", errReply))
			}
			if err != nil {
				yield(Key{}, err)
				return
			}
			for _, k := range page.Keys {
				if !yield(k, nil) {
					return
				}
			}
			if page.Cursor == "" {
				return
			}
			cursor = page.Cursor
		}
	}
}

func fail[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

// Collect gathers a list, such as that of [Client.Inventory]. With an error it
// returns what was listed before it.
func Collect[T any](list iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range list {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}
