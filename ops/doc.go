// Package ops is what an operator sees of a host: its status, the conditions it
// is in, health and readiness over HTTP, and metrics.
//
// There is one list of conditions. The command line, /readyz, the metrics and
// the status service all tell the same ones.
package ops
