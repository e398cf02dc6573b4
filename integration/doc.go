// Package integration holds the tests that need more than Go: containers,
// other programs as peers, a browser. It is a module of its own, so that users
// of Trireme's packages do not inherit what these tests depend on.
package integration
