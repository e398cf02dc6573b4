// Package layoutfile reads and writes layouts in NATS' configuration syntax, and
// follows a file or URL that holds one.
//
//	version: 1
//	hosts: [ { name: h1, nats: "10.0.0.1:4222", route: "10.0.0.1:6222", http: "10.0.0.1:7422" } ]
//	stripes: [ { name: s1, birth: 1, replicas: 1, hosts: [h1] } ]
//	partitions: [ { id: 0, buckets: "0-16383", stripe: s1 } ]
//	end: 1
//
// The last line repeats the version: so a file that is half-written is told from a
// whole one, wherever it breaks off, and a person can still write it by hand.
// docs/layout.md explains the rest.
package layoutfile
