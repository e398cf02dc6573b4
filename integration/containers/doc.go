// Package containers holds the tests of hosts in containers: the image that users get,
// built from ops/Dockerfile, three hosts of it on a private network with the
// configuration of ops/compose, and clients outside.
//
// The tests need a container engine, and nothing else: no registry is asked, no image
// pulled. Where no engine answers they are skipped, and the run says how many; with
// CI=true a run in which all of them were skipped fails. Whatever a run makes carries
// its label, and is removed at its end, or by the next run.
package containers
