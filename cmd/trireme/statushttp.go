package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// maxStatus bounds what is read of an answer.
const maxStatus = 16 << 20

// httpStatus asks a host over HTTP. at is its URL, or host:port.
func httpStatus(ctx context.Context, at string) (*hostStatus, error) {
	raw, err := httpGet(ctx, at, "/status")
	if err != nil {
		return nil, err
	}
	return readStatus(raw)
}

// httpGet reads a page of a host. at is its URL, or host:port.
func httpGet(ctx context.Context, at, path string) ([]byte, error) {
	code, body, err := httpAsk(ctx, at, path)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("ask %s%s: it answers %d %s", at, path, code, http.StatusText(code))
	}
	return body, err
}

// httpAsk reads a page of a host, whatever status it comes with.
func httpAsk(ctx context.Context, at, path string) (code int, body []byte, err error) {
	if !overHTTP(at) {
		at = "http://" + dialable(at)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(at, "/")+path, http.NoBody)
	if err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", at, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		if broken, ok := errors.AsType[*url.Error](err); ok {
			err = broken.Err // it names the page once more
		}
		return 0, nil, fmt.Errorf("ask %s: %w", at, err)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, nil, fmt.Errorf("ask %s: %w", at, err)
	}
	return resp.StatusCode, body, nil
}

// dialable turns an address that is listened on into one that can be reached from
// the same machine.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return address
}
