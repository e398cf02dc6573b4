// Package drill holds tests that run the real program as processes, break them,
// and judge what clients have seen. `make test` runs a few rounds of each,
// `make drill` many.
package drill
