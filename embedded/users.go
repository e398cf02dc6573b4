package embedded

import (
	"fmt"

	"github.com/nats-io/nkeys"
)

// A Role is what a client may do.
type Role string

const (
	// RoleClient may use the operations, the service discovery and read-only calls of
	// the JetStream API.
	RoleClient Role = "client"
	// RoleOperator may also look into a stream as `nats stream view` does, ask hosts for
	// their status, and look at the servers.
	RoleOperator Role = "operator"
	// RoleSystem may look at the servers of the cluster, with the commands of `nats
	// server` and `nats events`, and at nothing else: it reads no document and no stream.
	RoleSystem Role = "system"
)

// A User is a client that may connect from outside.
type User struct {
	Name     string
	Password string // plain, or a bcrypt hash as `nats server passwd` makes it
	Role     Role
}

func checkUsers(users []User) []error {
	var errs []error
	fault := func(i int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("clients[%d] %q: "+format, append([]any{i, users[i].Name}, args...)...))
	}
	seen := make(map[string]bool)
	for i, u := range users {
		if u.Name == "" {
			fault(i, "the name is empty; give it one")
		}
		if seen[u.Name] {
			fault(i, "the name is there twice; give each client its own")
		}
		seen[u.Name] = true
		if u.Password == "" {
			fault(i, "the password is empty; give it one")
		}
		if u.Role != RoleClient && u.Role != RoleOperator && u.Role != RoleSystem {
			fault(i, "role %q; choose %s, %s or %s", u.Role, RoleClient, RoleOperator, RoleSystem)
		}
	}
	return errs
}

// A userKey is the identity of one of this process' own users, made anew for each start.
type userKey struct {
	public string
	pair   nkeys.KeyPair
}

// keys are the users of this process.
type keys struct {
	log     userKey // all rights among the streams
	service userKey // answers clients
	gateIn  userKey // takes what clients ask of the gate
	gateOut userKey // makes consumers for them
	open    userKey // stands for clients on loopback that give no credentials
}

func newKeys() (keys, error) {
	var k keys
	for _, key := range []*userKey{&k.log, &k.service, &k.gateIn, &k.gateOut, &k.open} {
		pair, err := nkeys.CreateUser()
		if err != nil {
			return keys{}, fmt.Errorf("make key: %w", err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			return keys{}, fmt.Errorf("make key: %w", err)
		}
		*key = userKey{public, pair}
	}
	return k, nil
}
