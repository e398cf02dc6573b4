package main

import (
	"cmp"
	"context"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"trireme/adapter"
)

// A locationView is where a document lives, as -o json tells it.
type locationView struct {
	Space string `json:"space"`
	Key   string `json:"key"`
	adapter.Location
}

func (a *app) locateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "locate SPACE KEY", Short: "Say where a document lives, or would live",
		Long:    "Say in which bucket, partition and stripe a document lives, or would live, and\nwhich host owns it. It needs no owner and no quorum.",
		Example: "  trireme locate game chess",
		Args:    arguments("SPACE", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd, func(ctx context.Context, client *adapter.Client) error {
				l, err := client.Locate(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				return a.answer(locationView{args[0], args[1], l}, func(w io.Writer) {
					rows(w, [][]string{
						{"bucket", strconv.Itoa(l.Bucket)},
						{"partition", strconv.Itoa(l.Partition)},
						{"stripe", l.Stripe},
						{"owner", cmp.Or(l.Owner, "(none at present)")},
						{"epoch", cmp.Or(l.Epoch, "-")},
						{"members", strings.Join(l.Members, ", ")},
						{"adama", cmp.Or(l.Adama, "-")},
						{"layout", strconv.Itoa(l.Layout)},
					})
				})
			})
		},
	}
}
