package adapter_test

import (
	"encoding/json"
	"log"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"trireme/internal/contract"
	"trireme/internal/merge"
)

// service starts what the examples talk to: a NATS server and, in place of
// Trireme, a toy that keeps documents in memory and knows what the examples ask.
func service() (url string, stop func()) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("the NATS server does not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		log.Fatal(err)
	}
	y := &toy{documents: make(map[contract.Key][]contract.Update)}
	if _, err := nc.Subscribe(contract.SubjectPrefix+"*", y.serve); err != nil {
		log.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		log.Fatal(err)
	}
	return s.ClientURL(), func() {
		nc.Close()
		s.Shutdown()
		s.WaitForShutdown()
	}
}

type toy struct {
	mu        sync.Mutex
	documents map[contract.Key][]contract.Update
}

type toyRequest struct {
	contract.Key
	Patch   contract.Update
	Patches []contract.Update
	Seq     int32
}

func (y *toy) serve(m *nats.Msg) {
	var r toyRequest
	if err := json.Unmarshal(m.Data, &r); err != nil {
		log.Fatal(err)
	}
	reply := nats.NewMsg(m.Reply)
	body, refusal := y.answer(strings.TrimPrefix(m.Subject, contract.SubjectPrefix), r)
	if refusal != nil {
		reply.Header.Set(micro.ErrorCodeHeader, strconv.Itoa(int(refusal.Code)))
		body = refusal.Reply()
	}
	var err error
	if reply.Data, err = json.Marshal(body); err == nil {
		err = m.RespondMsg(reply)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func (y *toy) answer(op string, r toyRequest) (any, *contract.Error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	entries, exists := y.documents[r.Key]
	switch {
	case op == contract.OpInventory:
		var keys []contract.Key
		for k := range y.documents {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, contract.Key.Compare)
		return contract.KeysReply{Keys: keys}, nil
	case op == contract.OpInitialize && exists:
		return nil, contract.Errorf(contract.Exists, "it is there already")
	case op == contract.OpInitialize:
		y.documents[r.Key] = []contract.Update{r.Patch}
		return struct{}{}, nil
	case !exists:
		return nil, contract.Errorf(contract.NotFound, "initialize it")
	case op == contract.OpHistory:
		return y.history(entries), nil
	case op != contract.OpPatch:
		return y.fold(entries, op == contract.OpCompute, r.Seq), nil
	}
	if head := entries[len(entries)-1].SeqEnd; r.Patches[0].SeqBegin != head+1 {
		return nil, contract.Errorf(contract.HeadDiffers, "the head is %d, the patch begins at %d", head, r.Patches[0].SeqBegin)
	}
	y.documents[r.Key] = append(entries, r.Patches...)
	return struct{}{}, nil
}

func (y *toy) fold(entries []contract.Update, after bool, seq int32) contract.DocumentReply {
	var redos [][]byte
	for _, u := range entries {
		if !after || u.SeqEnd > seq {
			redos = append(redos, []byte(u.Redo))
		}
	}
	merged, err := merge.Fold(redos...)
	if err != nil {
		log.Fatal(err)
	}
	return contract.DocumentReply{Patch: string(merged), Seq: entries[len(entries)-1].SeqEnd}
}

func (y *toy) history(entries []contract.Update) contract.HistoryReply {
	var reply contract.HistoryReply
	for _, u := range entries {
		reply.Entries = append(reply.Entries, contract.Entry{Update: u})
	}
	return reply
}
