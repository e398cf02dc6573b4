// Package members decides what a host should do from what the hosts of a cluster
// tell one another: who is alive, who owns what, who lags, how far a log may be
// trimmed, and which stripe should go to a better place.
//
// A [Table] is handed every [Report], the host's own ones too, and is asked. It is
// pure: times come in as milliseconds of a clock that never goes back, and nothing
// happens in the background. A Table may be used by one goroutine at a time.
package members
