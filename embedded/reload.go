package embedded

import (
	"errors"
	"fmt"
	"reflect"
)

// SetCluster gives the running server other routes, other tags, another address to
// advertise. Connections stay, and what else the fields say stays as it was at Start.
// Name, Listen, User, Password and TLS need a restart; a change of them is refused.
// Without a change nothing is done.
func (s *Server) SetCluster(c Cluster) error {
	s.life.Lock()
	defer s.life.Unlock()
	run, err := s.current()
	if err != nil {
		return err
	}
	if err := run.reload(c); err != nil {
		return fmt.Errorf("change cluster of the NATS server: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Cluster = c.settled()
	return nil
}

func (r *running) reload(c Cluster) error {
	if r.cluster == nil {
		return errors.New("it stands alone; restart it with the cluster")
	}
	if reflect.DeepEqual(c.settled(), r.cluster) {
		return nil
	}
	// Extra may include files, so it is looked at again.
	if err := errors.Join(append(append(c.check(), r.cluster.fixed(c)...), checkExtra(r.cfg.Extra)...)...); err != nil {
		return err
	}
	cfg := r.cfg
	cfg.Cluster = c.settled()
	options, err := cfg.options(r.keys) // the SAME keys: connections of this process stay
	if err != nil {
		return err
	}
	if err := r.nats.ReloadOptions(options); err != nil {
		return err
	}
	r.cluster = cfg.Cluster
	return nil
}

// fixed names what a running server cannot change.
func (c *Cluster) fixed(to Cluster) []error {
	var errs []error
	for _, field := range []struct {
		name, from, to string
		secret         bool
	}{
		{"name", c.Name, to.Name, false},
		{"listen", c.Listen, to.Listen, false},
		{"user", c.User, to.User, false},
		{"password", c.Password, to.Password, true},
		{"tls", c.TLS, to.TLS, false},
	} {
		switch {
		case field.from == field.to:
		case field.secret:
			errs = append(errs, fmt.Errorf("cluster %s: it cannot change while the server runs; restart the server", field.name))
		default:
			errs = append(errs, fmt.Errorf("cluster %s %q: it cannot change from %q while the server runs; restart the server", field.name, field.to, field.from))
		}
	}
	return errs
}
