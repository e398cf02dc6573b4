package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"trireme/adapter"
)

// A documentView is a document as `doc get -o json` tells it.
type documentView struct {
	Space       string    `json:"space"`
	Key         string    `json:"key"`
	Document    *string   `json:"document,omitempty"` // folded
	Base        *string   `json:"base,omitempty"`     // with --parts: the snapshot, absent without one
	Redos       *[]string `json:"redos,omitempty"`    // with --parts: what to fold onto it
	Seq         int32     `json:"seq"`
	Incarnation string    `json:"incarnation"`
	Reads       int       `json:"reads"`
	Behind      *int64    `json:"behind,omitempty"` // with --local: log records it may lack, at most; -1 when not told
}

func (a *app) getCommand() *cobra.Command {
	var local, parts bool
	var host string
	c := &cobra.Command{
		Use: "get SPACE KEY", Short: "Print a document",
		Long: "Print a document, folded, as it is after every change acknowledged so far.",
		Example: `  trireme doc get game chess
  trireme doc get game chess -o json      with its seq and incarnation
  trireme doc get game chess --local      what the host has, also without a quorum
  trireme doc get game chess --parts      unfolded: also what cannot be merged`,
		Args: arguments("SPACE", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var options []adapter.GetOption
			if local {
				options = append(options, adapter.Local())
			}
			if host != "" {
				options = append(options, adapter.FromHost(host))
			}
			return a.call(cmd, func(ctx context.Context, client *adapter.Client) error {
				v := documentView{Space: args[0], Key: args[1]}
				read := v.fold
				if parts {
					read = v.parts
				}
				behind, err := read(ctx, client, options)
				if err != nil {
					return err
				}
				if local {
					v.Behind = &behind
				}
				return a.answer(v, v.print)
			})
		},
	}
	c.Flags().BoolVar(&local, "local", false, "what the answering host has, however far behind; needs no quorum")
	c.Flags().StringVar(&host, "host", "", "ask this `host`")
	c.Flags().BoolVar(&parts, "parts", false, "print snapshot and changes, a line each, instead of their fold")
	return c
}

func (v *documentView) fold(ctx context.Context, client *adapter.Client, options []adapter.GetOption) (int64, error) {
	d, err := client.Get(ctx, v.Space, v.Key, options...)
	v.Document, v.Seq, v.Incarnation, v.Reads = &d.Patch, d.Seq, d.Incarnation, d.Reads
	return d.Behind, err
}

func (v *documentView) parts(ctx context.Context, client *adapter.Client, options []adapter.GetOption) (int64, error) {
	p, err := client.GetParts(ctx, v.Space, v.Key, options...)
	v.Base, v.Redos, v.Seq, v.Incarnation, v.Reads = p.Base, &p.Redos, p.Seq, p.Incarnation, p.Reads
	return p.Behind, err
}

func (v *documentView) print(w io.Writer) {
	if v.Document != nil {
		fmt.Fprintln(w, *v.Document)
		return
	}
	if v.Base != nil {
		fmt.Fprintln(w, *v.Base)
	}
	for _, redo := range *v.Redos {
		fmt.Fprintln(w, redo)
	}
}

// A historyView is a document's retained log as `doc history -o json` tells it.
type historyView struct {
	Space       string          `json:"space"`
	Key         string          `json:"key"`
	Base        *adapter.Base   `json:"base"`
	Entries     []adapter.Entry `json:"entries"`
	Seq         int32           `json:"seq"`
	Incarnation string          `json:"incarnation"`
	AssetBytes  int64           `json:"asset_bytes"`
	More        bool            `json:"more,omitempty"` // there are more than --limit
}

func (a *app) historyCommand() *cobra.Command {
	var from, limit int32
	c := &cobra.Command{
		Use: "history SPACE KEY", Short: "Print a document's retained changes, oldest first",
		Example: `  trireme doc history game chess
  trireme doc history game chess --from 100 --limit 20
  trireme doc history game chess -o json  with the whole texts`,
		Args: arguments("SPACE", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			which := adapter.HistoryRequest{Space: args[0], Key: args[1]}
			if cmd.Flags().Changed("from") {
				which.FromSeq = &from
			}
			if limit < 0 {
				return usage("--limit %d: want 0 or more", limit)
			}
			return a.call(cmd, func(ctx context.Context, client *adapter.Client) error {
				v, err := readHistory(ctx, client, which, int(limit))
				if err != nil {
					return err
				}
				return a.answer(v, v.print)
			})
		},
	}
	c.Flags().Int32Var(&from, "from", 0, "begin with the change that ends at this `seq` or after it")
	c.Flags().Int32Var(&limit, "limit", 0, "print so many `changes` at most; 0 for all")
	return c
}

func readHistory(ctx context.Context, client *adapter.Client, which adapter.HistoryRequest, limit int) (*historyView, error) {
	v := &historyView{Space: which.Space, Key: which.Key, Entries: []adapter.Entry{}}
	for page, err := range client.History(ctx, which) {
		if err != nil {
			return nil, err
		}
		if len(v.Entries) == 0 {
			v.Base = page.Base
		}
		v.Seq, v.Incarnation, v.AssetBytes = page.Seq, page.Incarnation, page.AssetBytes
		v.Entries = append(v.Entries, page.Entries...)
		if limit > 0 && len(v.Entries) >= limit {
			v.More = page.More || len(v.Entries) > limit
			v.Entries = v.Entries[:limit]
			break
		}
	}
	return v, nil
}

func (v *historyView) print(w io.Writer) {
	const redo = 60
	lines := [][]string{{"SEQ", "TYPE", "WHO", "POSITION", "BYTES", "REDO"}}
	if v.Base != nil {
		lines = append(lines, []string{strconv.Itoa(int(v.Base.Seq)), "(snapshot)", "", "", strconv.Itoa(len(v.Base.JSON)), oneLine(v.Base.JSON, redo)})
	}
	for i := range v.Entries {
		e := &v.Entries[i]
		seq := strconv.Itoa(int(e.SeqEnd))
		if e.SeqBegin != e.SeqEnd {
			seq = fmt.Sprintf("%d..%d", e.SeqBegin, e.SeqEnd)
		}
		who := "-"
		if e.Who != nil {
			who = oneLine(e.Who.Agent+"@"+e.Who.Authority, 40)
		}
		lines = append(lines, []string{seq, e.UpdateType, who, e.Position, strconv.Itoa(e.TextSize()), oneLine(e.Redo, redo)})
	}
	rows(w, lines)
	if v.More {
		fmt.Fprintf(w, "... and more, up to seq %d\n", v.Seq)
	}
}

// head reads a document's head without its content.
func head(ctx context.Context, client *adapter.Client, space, key string) (seq int32, incarnation string, err error) {
	past := int32(math.MaxInt32)
	which := adapter.HistoryRequest{Space: space, Key: key, FromSeq: &past, Limit: 1}
	for page, err := range client.History(ctx, which) {
		return page.Seq, page.Incarnation, err
	}
	return 0, "", nil // History yields once at least
}
