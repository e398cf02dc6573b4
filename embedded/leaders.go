package embedded

import "slices"

// LeadsStream reports whether this server leads the stream, which must be one of the
// stripes'. It is a belief: a server that hung or was cut off may hold it for 20 s after
// another one leads. A server that stands alone leads every stream. It costs little, so
// that it may be asked often, and is false while the server does not run.
func (s *Server) LeadsStream(stream string) bool {
	run, err := s.current()
	if err != nil {
		return false
	}
	return run.cfg.Cluster == nil || run.nats.JetStreamIsStreamLeader(logAccount, stream)
}

// StreamCurrent reports whether this server keeps the stream and has all of it that its
// leader has committed, as far as it knows. A server that stands alone has all of every stream.
func (s *Server) StreamCurrent(stream string) bool {
	run, err := s.current()
	return err == nil && run.nats.JetStreamIsStreamCurrent(logAccount, stream)
}

// Connected returns the names of the servers that have a route to this one, sorted.
func (s *Server) Connected() []string {
	run, err := s.current()
	if err != nil {
		return nil
	}
	routes, err := run.nats.Routez(nil)
	if err != nil { // it has none for such a question
		return nil
	}
	var names []string
	for _, r := range routes.Routes {
		if r.RemoteName != "" { // it has introduced itself
			names = append(names, r.RemoteName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// MetaLeader returns the name of the server that decides which servers keep which
// stream, or "" while there is none, or this one does not know it, or stands alone.
func (s *Server) MetaLeader() string {
	run, err := s.current()
	if err != nil || run.cfg.Cluster == nil {
		return ""
	}
	info, err := run.nats.Jsz(nil)
	if err != nil || info.Meta == nil {
		return ""
	}
	return info.Meta.Leader
}
