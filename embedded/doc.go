// Package embedded runs a NATS server with JetStream inside this process.
//
// A [Server] is a struct: set its fields, call [Server.Start], and end with
// [Server.Close]. The zero value serves clients on 127.0.0.1:4222 and stores under
// ./trireme-data.
//
//	srv := &embedded.Server{Name: "h1", Dir: "/var/lib/trireme"}
//	if err := srv.Start(ctx); err != nil {
//		return err
//	}
//	defer srv.Close()
//	log, err := srv.Log() // a connection that may touch the stripes' streams
//
// The server has three accounts, so that no outside client can put a byte into a
// stripe's log: TRIREME holds the streams and only this process can enter it, ADAMA is
// where clients and our service meet, SYS is the server's own. DESIGN.md in this
// directory has the table of permissions and the reasons.
//
// With [Server.Cluster] set, servers find one another by routes and replicate streams;
// [Server.LeadsStream] says who leads one.
//
// The package keeps no global state; one process may run several servers on
// different directories. It runs on Unix systems.
package embedded
