// Package localcluster runs real hosts on one machine, `trireme serve` as
// processes, for drills and demonstrations: it starts, kills, freezes, thaws and
// restarts them, waits for what they say over HTTP, and can stand between them.
//
//	c, err := localcluster.New(ctx, localcluster.Config{Program: "bin/trireme", Dir: dir})
//	defer c.Close()
//	err = errors.Join(c.Start(), c.AwaitReady(ctx))
//	owner, err := c.AwaitOwner(ctx, "07")
//	err = owner.Kill()
//
// A [Process] is one of them and needs no cluster. A [Proxy] stands in front of one
// address and understands NATS' protocol well enough to hold or drop single messages.
//
// No process survives the one that started it, however that ends (on Linux; elsewhere
// only if it ends in order).
package localcluster
