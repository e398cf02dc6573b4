package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	askLimit    = 2 * time.Second // for one answer: it is asked again anyway
	answerLimit = 4 << 20         // bytes of an answer
)

// A Reply is an answer, or why there is none.
type Reply struct {
	Answer Answer
	Err    error
}

// Ask asks hosts who they are and what they have seen, all at once, by their HTTP
// addresses (host:port). Every host gets a reply within about two seconds. An answer
// under another name than the one asked for is an error.
func Ask(ctx context.Context, addresses map[string]string) map[string]Reply {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{
		Transport: transport, Timeout: askLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var wait sync.WaitGroup
	replies := make(map[string]Reply, len(addresses))
	for name, address := range addresses {
		wait.Go(func() {
			answer, err := ask(ctx, client, name, address)
			mu.Lock()
			defer mu.Unlock()
			replies[name] = Reply{answer, err}
		})
	}
	wait.Wait()
	return replies
}

func ask(ctx context.Context, client *http.Client, name, address string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/identity", http.NoBody)
	if err != nil {
		return Answer{}, fmt.Errorf("address of %s: %w", name, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit+1))
	err = errors.Join(err, resp.Body.Close())
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("%s: %w", address, err)
	case resp.StatusCode != http.StatusOK:
		return Answer{}, fmt.Errorf("%s answers %s", address, resp.Status)
	case len(text) > answerLimit:
		return Answer{}, fmt.Errorf("%s answers with more than %d bytes", address, answerLimit)
	}
	a, err := ParseAnswer(text)
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %w", address, err)
	}
	if a.Host != name {
		return Answer{}, fmt.Errorf("at %s answers %q, not %s: correct the addresses in the layout", address, a.Host, name)
	}
	return a, nil
}
