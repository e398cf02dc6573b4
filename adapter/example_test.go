package adapter_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/nats-io/nats.go"

	"trireme/adapter"
)

// connect makes the client of the examples, and a document to use it on.
func connect(ctx context.Context, url string) (*adapter.Client, func()) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	c, err := adapter.NewClient(nc, adapter.WithWriter("node-7-boot-3"))
	if err != nil {
		log.Fatal(err)
	}
	first := change(1, 1, `{"turn":"white","moves":0}`, `{}`)
	if err := c.Initialize(ctx, "chess", "game-1", first); err != nil {
		log.Fatal(err)
	}
	return c, nc.Close
}

func change(begin, end int32, redo, undo string) adapter.Update {
	return adapter.Update{SeqBegin: begin, SeqEnd: end, Redo: redo, Undo: undo, UpdateType: adapter.AddUserData}
}

// Create a document, change it, read it.
func Example() {
	url, stop := service()
	defer stop()

	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	c, err := adapter.NewClient(nc, adapter.WithWriter("node-7-boot-3"))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	err = c.Initialize(ctx, "chess", "game-1", adapter.Update{
		SeqBegin: 1, SeqEnd: 1,
		Redo: `{"turn":"white"}`, Undo: `{}`,
		UpdateType: adapter.AddUserData,
	})
	if err != nil {
		log.Fatal(err)
	}
	err = c.Patch(ctx, "chess", "game-1", []adapter.Update{{
		SeqBegin: 2, SeqEnd: 2,
		Who:     &adapter.Who{Agent: "ann", Authority: "club"},
		Request: `{"command":"send","message":{"move":"e4"}}`,
		Redo:    `{"turn":"black"}`, Undo: `{"turn":"white"}`,
		UpdateType: adapter.DirectMessageExecute,
	}})
	if err != nil {
		log.Fatal(err)
	}
	doc, err := c.Get(ctx, "chess", "game-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(doc.Seq, doc.Patch)
	// Output: 2 {"turn":"black"}
}

// When the head differs, somebody else was faster: fetch what they did, and do
// it again on top.
func ExampleClient_Patch() {
	url, stop := service()
	defer stop()
	ctx := context.Background()
	c, done := connect(ctx, url)
	defer done()

	// Both writers know the document at seq 1.
	theirs := []adapter.Update{change(2, 2, `{"turn":"black"}`, `{"turn":"white"}`)}
	if err := c.Patch(ctx, "chess", "game-1", theirs); err != nil {
		log.Fatal(err)
	}
	ours := change(2, 2, `{"moves":1}`, `{"moves":0}`)
	err := c.Patch(ctx, "chess", "game-1", []adapter.Update{ours})
	if errors.Is(err, adapter.ErrHeadDiffers) {
		missed, err := c.Compute(ctx, "chess", "game-1", adapter.HeadPatch, 1)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("missed", missed.Patch)
		ours.SeqBegin, ours.SeqEnd = missed.Seq+1, missed.Seq+1
		if err := c.Patch(ctx, "chess", "game-1", []adapter.Update{ours}); err != nil {
			log.Fatal(err)
		}
	}
	doc, err := c.Get(ctx, "chess", "game-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(doc.Seq, doc.Patch)
	// Output:
	// missed {"turn":"black"}
	// 3 {"turn":"black","moves":1}
}

// A call whose outcome is unknown is made again under its id, which can never
// make it act twice.
func ExampleWithRequestID() {
	url, stop := service()
	defer stop()
	c, done := connect(context.Background(), url)
	defer done()

	move := []adapter.Update{change(2, 2, `{"turn":"black"}`, `{"turn":"white"}`)}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := c.Patch(ctx, "chess", "game-1", move)
	for errors.Is(err, adapter.ErrOutcomeUnknown) {
		call, ok := errors.AsType[*adapter.CallError](err)
		if !ok {
			break
		}
		// Within two minutes, or the store may have forgotten the id.
		err = c.Patch(context.Background(), "chess", "game-1", move, adapter.WithRequestID(call.RequestID))
	}
	fmt.Println(err)
	// Output: <nil>
}

// Lists are loops; their pages are fetched as the loop goes on.
func ExampleClient_History() {
	url, stop := service()
	defer stop()
	ctx := context.Background()
	c, done := connect(ctx, url)
	defer done()

	for key, err := range c.Inventory(ctx, adapter.InventoryRequest{Scope: adapter.ScopeAll}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(key.Space, key.Key)
		for page, err := range c.History(ctx, adapter.HistoryRequest{Space: key.Space, Key: key.Key}) {
			if err != nil {
				log.Fatal(err)
			}
			for _, e := range page.Entries {
				fmt.Println(e.SeqEnd, e.Redo)
			}
		}
	}
	// Output:
	// chess game-1
	// 1 {"turn":"white","moves":0}
}

// Three updates of a busy document become one.
func ExampleCompact() {
	updates := []adapter.Update{
		change(5, 5, `{"x":5}`, `{"x":4}`),
		change(6, 6, `{"x":6}`, `{"x":5}`),
		change(7, 7, `{"y":true}`, `{"y":null}`),
	}
	updates[1].UpdateType = adapter.Invalidate
	updates[2].UpdateType = adapter.Invalidate

	compacted, err := adapter.Compact(updates)
	if err != nil {
		log.Fatal(err)
	}
	for _, u := range compacted {
		fmt.Println(u.SeqBegin, u.SeqEnd, u.Redo, u.Undo)
	}
	// Output: 5 7 {"x":6,"y":true} {"y":null,"x":4}
}

func ExampleExplain() {
	x, _ := adapter.Explain(adapter.CodeOf(adapter.ErrOutcomeUnknown))
	fmt.Printf("%d %s: %s\nhappened: %s\ndo: %s\n", x.Code, x.Name, x.Meaning, x.Happened, x.Caller)
	// Output:
	// 1500004 outcome-unknown: the wait ended before the log told whether the request is in it
	// happened: maybe
	// do: send it again under the same request id, until you are told
}
