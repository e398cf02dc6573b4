package embedded

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestConfigOfTheZeroValue(t *testing.T) {
	text, err := new(Server).Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{
		`server_name: "h1"`, `listen: "127.0.0.1:4222"`, "max_payload: 67108864", "max_pending: 268435456",
		`/embedded/trireme-data"`, "sync_interval: always", "strict: true", "no_auth_user: U", "system_account: SYS",
	} {
		if !strings.Contains(text, piece) {
			t.Errorf("the configuration lacks %s:\n%s", piece, text)
		}
	}
	if strings.Contains(text, "max_file_store") {
		t.Error("the file limit is not left to the server")
	}
}

func TestOptionsAreThoseOfTheFields(t *testing.T) {
	s := &Server{Name: "h7", Dir: "/data/seven", Listen: "[::1]:4333", MaxPayload: 1 << 20, MaxFile: 5 << 30, Extra: "max_connections: 7\ndebug: true"}
	o := options(t, s)
	want := server.Options{
		ServerName: "h7", StoreDir: "/data/seven", Host: "::1", Port: 4333, MaxPayload: 1 << 20, MaxPending: 4 << 20,
		JetStreamMaxStore: 5 << 30, JetStreamMaxMemory: maxMemory, JetStream: true, SyncAlways: true,
		MaxConn: 7, Debug: true, NoSigs: true, DisableJetStreamBanner: true, SystemAccount: "SYS",
	}
	got := server.Options{
		ServerName: o.ServerName, StoreDir: o.StoreDir, Host: o.Host, Port: o.Port, MaxPayload: o.MaxPayload, MaxPending: o.MaxPending,
		JetStreamMaxStore: o.JetStreamMaxStore, JetStreamMaxMemory: o.JetStreamMaxMemory, JetStream: o.JetStream, SyncAlways: o.SyncAlways,
		MaxConn: o.MaxConn, Debug: o.Debug, NoSigs: o.NoSigs, DisableJetStreamBanner: o.DisableJetStreamBanner,
		SystemAccount: o.SystemAccount, DontListen: o.DontListen, NoJetStreamStrict: o.NoJetStreamStrict,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if none := options(t, &Server{Listen: NoListener}); !none.DontListen || none.NoAuthUser != "" {
		t.Errorf("without a listener: DontListen %v, no_auth_user %q", none.DontListen, none.NoAuthUser)
	}
}

func TestNoCredentialsOnlyOverPlainConnections(t *testing.T) {
	o := options(t, &Server{Extra: "websocket { port: -1, no_tls: true }"})
	for _, u := range o.Nkeys {
		want := "IN_PROCESS"
		if u.Nkey == o.NoAuthUser {
			want = "STANDARD"
		}
		if _, ok := u.AllowedConnectionTypes[want]; !ok || len(u.AllowedConnectionTypes) != 1 {
			t.Errorf("user %s may connect by %v, want %s", u.Nkey, u.AllowedConnectionTypes, want)
		}
	}
}

func options(t interface {
	Helper()
	Fatal(...any)
}, s *Server,
) *server.Options {
	t.Helper()
	cfg, err := s.settled()
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKeys()
	if err != nil {
		t.Fatal(err)
	}
	o, err := cfg.options(k)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestConfigNamesEveryFault(t *testing.T) {
	user := User{Name: "adama", Password: "secret", Role: RoleClient}
	tests := []struct {
		name   string
		server *Server
		want   []string
	}{
		{"name", &Server{Name: "a.b"}, []string{`name "a.b": cannot stand in a NATS subject`}},
		{"no port", &Server{Listen: "127.0.0.1"}, []string{`listen "127.0.0.1"`, "write host:port"}},
		{"port 0", &Server{Listen: "127.0.0.1:0"}, []string{`port "0": choose`}},
		{"port name", &Server{Listen: "127.0.0.1:nats"}, []string{`port "nats": choose`}},
		{"port too high", &Server{Listen: "127.0.0.1:65536"}, []string{`port "65536": choose`}},
		{"open to the world", &Server{Listen: "0.0.0.0:4222"}, []string{"other machines reach it", "name the clients"}},
		{"open to the world, short", &Server{Listen: ":4222"}, []string{"other machines reach it"}},
		{"open to a network", &Server{Listen: "10.1.2.3:4222"}, []string{"other machines reach it"}},
		{"negative sizes", &Server{MaxPayload: -1, MaxFile: -1}, []string{"max payload -1", "max file -1"}},
		{"payload that is no payload", &Server{MaxPayload: math.MaxInt32, Extra: "max_payload: 1"}, []string{`"max_payload" cannot be set here`}},
		{"users", &Server{Clients: []User{user, user, {}, {Name: "x", Password: "y", Role: "king"}}}, []string{
			`clients[1] "adama": the name is there twice`, `clients[2] "": the name is empty`, `clients[2] "": the password is empty`,
			`clients[2] "": role ""; choose client, operator or system`, `clients[3] "x": role "king"`,
		}},
		{"extra syntax", &Server{Extra: "a: ["}, []string{"extra NATS configuration: "}},
		{"extra that closes our block", &Server{Extra: "}\naccounts { TRIREME {} }"}, []string{"extra NATS configuration: "}},
		{"extra unknown to NATS", &Server{Extra: "max_conections: 5"}, []string{"the NATS server refuses it", "max_conections"}},
		{"extra listens", &Server{Extra: "listen: 5\nserver_name: x"}, []string{`"listen" cannot be set here`, `"server_name" cannot`}},
		{"extra in other case", &Server{Extra: "JetStream: false"}, []string{`"JetStream" cannot be set here: the log needs its own`}},
		{"extra with a quoted key", &Server{Extra: `"accounts" { A {} }`}, []string{`"accounts" cannot be set here`}},
		{"extra cluster", &Server{Extra: "cluster { port: 6222 }"}, []string{`"cluster" cannot be set here: how hosts find one another`}},
		{"leaf node into the log", &Server{Extra: `leafnodes { remotes: [ {url: "nats://127.0.0.1:1", account: TRIREME} ] }`}, []string{"a leaf node must not be bound"}},
		{"leaf nodes from outside", &Server{Extra: `leafnodes { port: 7422, authorization { user: u, password: p, account: TRIREME } }`}, []string{"a leaf node must not be bound"}},
		{"leaf users", &Server{Extra: `leafnodes { port: 7422, authorization { users: [ {user: u, password: p, account: ADAMA} ] } }`}, []string{"a leaf node must not be bound"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := tt.server.Config()
			if err == nil {
				t.Fatalf("no error:\n%s", text)
			}
			for _, piece := range tt.want {
				if !strings.Contains(err.Error(), piece) {
					t.Errorf("the error does not say %q:\n%v", piece, err)
				}
			}
		})
	}
}

func TestOwnedKeysAreRefused(t *testing.T) {
	for _, key := range []string{
		"accounts", "authorization", "no_auth_user", "operator", "resolver", "system_account", "no_system_account", "trusted",
		"mappings", "maps", "jetstream", "store_dir", "listen", "port", "host", "net", "server_name", "max_payload", "max_pending",
		"cluster", "gateway", "server_tags", "client_advertise", "default_sentinel", "no_header_support", "logfile", "syslog",
	} {
		_, err := (&Server{Extra: key + ": 1"}).Config()
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(key)+" cannot be set here") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestConfigHidesPasswords(t *testing.T) {
	s := &Server{Clients: []User{{Name: "adama", Password: "sesame", Role: RoleClient}}}
	text, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "sesame") || !strings.Contains(text, `"adama"`) {
		t.Error(text)
	}
	if s.Clients[0].Password != "sesame" {
		t.Error("Config changed the field")
	}
}

func TestQuoteIsReadBackAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(rapid.String(), rapid.StringMatching("[ -~\\x00-\\x1f\"\\\\$#{}%]*")).Draw(t, "value")
		got, err := conf.Parse("key: " + quote(want))
		if err != nil {
			t.Fatalf("%q as %s: %v", want, quote(want), err)
		}
		if got["key"] != want {
			t.Fatalf("%q as %s reads %q", want, quote(want), got["key"])
		}
	})
}

func TestUsersArriveAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name, password := rapid.StringN(1, 20, -1).Draw(t, "name"), rapid.StringN(1, 20, -1).Draw(t, "password")
		o := options(t, &Server{Clients: []User{{Name: name, Password: password, Role: RoleOperator}}})
		if len(o.Users) != 1 || o.Users[0].Username != name || o.Users[0].Password != password || o.Users[0].Account.Name != clientAccount {
			t.Fatalf("user %q %q arrives as %+v", name, password, o.Users)
		}
	})
}

// FuzzExtra holds that no accepted piece changes what this package answers for.
func FuzzExtra(f *testing.F) {
	for _, seed := range []string{
		"", "max_connections: 5", "write_deadline: 2s # c", "tls { }", "accounts { A {} }", "}", "{", "authorization: {token: a}",
		"x = $no_auth_user", "ACCOUNTS = {}", "\"jetstream\" = off", "websocket { port: 1, no_tls: true, no_auth_user: adama }",
		"mqtt { port: 1, authorization { token: x } }", "leafnodes { port: 1 }", "server_tags: [a]", "debug: true",
	} {
		f.Add(seed)
	}
	plain := options(f, &Server{Clients: []User{{Name: "adama", Password: "p", Role: RoleClient}}})
	f.Fuzz(func(t *testing.T, extra string) {
		if strings.Contains(strings.ToLower(extra), "include") {
			t.Skip("it would read files")
		}
		s := &Server{Extra: extra, Clients: []User{{Name: "adama", Password: "p", Role: RoleClient}}}
		if _, err := s.Config(); err != nil {
			return
		}
		o := options(t, s)
		if !reflect.DeepEqual(protected(o), protected(plain)) {
			t.Errorf("%q changes it to\n%+v\nfrom\n%+v", extra, protected(o), protected(plain))
		}
	})
}

// protected gathers what Extra must not change.
func protected(o *server.Options) map[string]any {
	p := map[string]any{
		"name": o.ServerName, "dir": o.StoreDir, "host": o.Host, "port": o.Port, "listens": !o.DontListen, "payload": o.MaxPayload, "pending": o.MaxPending,
		"jetstream": o.JetStream, "sync": o.SyncAlways, "lax": o.NoJetStreamStrict, "system": o.SystemAccount, "no system": o.NoSystemAccount,
		"no auth": o.NoAuthUser, "user": o.Username, "token": o.Authorization, "callout": o.AuthCallout, "operators": len(o.TrustedOperators),
		"trusted": o.TrustedKeys, "sentinel": o.DefaultSentinel, "cluster": o.Cluster.Port, "routes": o.RoutesStr, "route user": o.Cluster.Username, "tags": strings.Join(o.Tags, " "), "advertise": o.ClientAdvertise, "gateway": o.Gateway.Name, "nkeys": len(o.Nkeys),
	}
	for _, a := range o.Accounts {
		p["account "+a.Name] = true
	}
	for _, u := range o.Users {
		p["user "+u.Username] = []any{u.Password, u.Account.Name, u.Permissions, u.AllowedConnectionTypes}
	}
	return p
}
