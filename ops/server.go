package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// A Server serves HTTP on one address. Set the fields, then Start.
type Server struct {
	Listen  string       // host:port; port 0 takes a free one, see [Server.URL]
	Handler http.Handler // required; see [Handler]
	Logger  *slog.Logger // nothing is logged when nil

	http     *http.Server
	listener net.Listener
	wait     sync.WaitGroup
}

// Bounds on a connection. A scrape takes milliseconds.
const (
	readLimit  = 5 * time.Second
	writeLimit = 30 * time.Second
	idleLimit  = 2 * time.Minute
	maxHeader  = 16 << 10
)

// Start listens and returns when connections are taken. It fails when it cannot
// have the address.
func (s *Server) Start() error {
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	listener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	s.listener = listener
	s.http = &http.Server{
		Handler:     s.Handler,
		ReadTimeout: readLimit, WriteTimeout: writeLimit, IdleTimeout: idleLimit, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn),
	}
	s.wait.Go(func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.Logger.Error("serve HTTP", "error", err)
		}
	})
	return nil
}

// URL is where it listens, "http://host:port"; "" before Start.
func (s *Server) URL() string {
	if s.listener == nil {
		return ""
	}
	return "http://" + s.listener.Addr().String()
}

// Close takes no more connections and waits for the answers under way, until ctx
// ends; then it cuts them. It returns when nothing runs any more, and does
// nothing before Start.
func (s *Server) Close(ctx context.Context) error {
	if s.http == nil {
		return nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("close HTTP: %w", err), s.http.Close())
	}
	s.wait.Wait()
	return err
}
