package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
)

// A client has one request out at a time.
type client interface {
	next(m *nats.Msg) // fills in the request
	check(reply *nats.Msg) error
}

// clientsPerConn is how many clients share a connection and the goroutine that
// drives them.
const clientsPerConn = 64

// drive runs the clients for a time: each sends its next request when the answer
// to the last one is in. All clients of a connection live on one goroutine, as in
// any load generator that has to share the machine with what it measures.
func drive(url string, newClient func(n int) client, clients int, duration time.Duration) (*hdrhistogram.Histogram, time.Duration, error) {
	drivers := (clients + clientsPerConn - 1) / clientsPerConn
	results := make(chan result, drivers)
	began := time.Now()
	for d := range drivers {
		go func() {
			first := d * clientsPerConn
			results <- driveSome(url, newClient, first, min(clients-first, clientsPerConn), began.Add(duration))
		}()
	}
	total := newHistogram()
	var errs []error
	for range drivers {
		r := <-results
		errs = append(errs, r.err)
		total.Merge(r.histogram)
	}
	return total, time.Since(began), errors.Join(errs...)
}

type result struct {
	histogram *hdrhistogram.Histogram
	err       error
}

// newHistogram counts latencies from a microsecond to a minute, in nanoseconds.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1000, int64(time.Minute), 3) }

// driveSome runs the clients of one connection until a time, and then until the
// last of them has its answer.
func driveSome(url string, newClient func(n int) client, first, n int, until time.Time) (r result) {
	r.histogram = newHistogram()
	nc, err := nats.Connect(url)
	if err != nil {
		return result{r.histogram, err}
	}
	defer nc.Close()
	inbox := nc.NewInbox()
	replies := make(chan *nats.Msg, 4*clientsPerConn)
	if _, r.err = nc.ChanSubscribe(inbox+".*", replies); r.err != nil {
		return r
	}
	clients, sent := make([]client, n), make([]time.Time, n)
	send := func(i int) error {
		m := &nats.Msg{Reply: inbox + "." + strconv.Itoa(i)}
		clients[i].next(m)
		sent[i] = time.Now()
		return nc.PublishMsg(m)
	}
	for i := range clients {
		clients[i] = newClient(first + i)
		if r.err = send(i); r.err != nil {
			return r
		}
	}
	limit := time.After(time.Until(until) + 30*time.Second)
	for out := n; out > 0; {
		select {
		case <-limit:
			return result{r.histogram, fmt.Errorf("%d requests are not answered 30 s after the end", out)}
		case m := <-replies:
			i, err := strconv.Atoi(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
			if err == nil {
				err = clients[i].check(m)
			}
			if err != nil {
				return result{r.histogram, err}
			}
			now := time.Now()
			_ = r.histogram.RecordValue(int64(now.Sub(sent[i]))) // none is over a minute: see limit
			if now.After(until) {
				out--
			} else if r.err = send(i); r.err != nil {
				return r
			}
		}
	}
	return r
}
