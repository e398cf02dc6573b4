package embedded

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func loopbackCluster() Cluster {
	return Cluster{Name: "test", Listen: "127.0.0.1:6222", Routes: []string{"127.0.0.1:6222", "127.0.0.1:6223"}}
}

func TestOptionsAreThoseOfTheCluster(t *testing.T) {
	c := Cluster{
		Name: "c1", Listen: ":6222", Advertise: "nats.example:4333", Routes: []string{"10.0.0.1:6222", "h2.example:6222", "[fd00::3]:6222"},
		User: "host", Password: "p#1 @:/?\"", Tags: []string{"S1", "s2.b7"},
	}
	o := options(t, &Server{Cluster: &c})
	if got := o.Cluster; got.Name != c.Name || got.Host != "0.0.0.0" || got.Port != 6222 || got.Username != c.User || got.Password != c.Password ||
		got.PingInterval != time.Second || got.MaxPingsOut != 3 || got.WriteDeadline != 5*time.Second || got.NoAdvertise ||
		got.PoolSize != 1 || !reflect.DeepEqual(got.PinnedAccounts, []string{logAccount}) {
		t.Errorf("cluster %+v", got)
	}
	if o.ClientAdvertise != c.Advertise || strings.Join(o.Tags, " ") != "s1 s2.b7" {
		t.Errorf("advertise %q, tags %q", o.ClientAdvertise, o.Tags)
	}
	for i, u := range o.Routes {
		if password, _ := u.User.Password(); u.Host != c.Routes[i] || u.User.Username() != c.User || password != c.Password {
			t.Errorf("route %d is %v", i, u)
		}
	}
	if !o.SyncAlways || o.NoJetStreamStrict {
		t.Error("the log's settings changed")
	}
}

func TestConfigNamesEveryFaultOfTheCluster(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Cluster)
		want   string // "" is accepted
	}{
		{"nothing", func(*Cluster) {}, ""},
		{"no name", func(c *Cluster) { c.Name = "" }, `cluster name "": cannot stand in a NATS subject`},
		{"name", func(c *Cluster) { c.Name = "a b" }, `cluster name "a b"`},
		{"no listen", func(c *Cluster) { c.Listen = "" }, `cluster listen "": missing port`},
		{"listen port", func(c *Cluster) { c.Listen = "127.0.0.1:-1" }, `port "-1": choose 1 to 65535`},
		{"advertise", func(c *Cluster) { c.Advertise = "h1" }, `cluster advertise "h1"`},
		{"advertise without host", func(c *Cluster) { c.Advertise = ":4222" }, "the host is missing"},
		{"no routes", func(c *Cluster) { c.Routes = nil }, "name the routes of all"},
		{"one route", func(c *Cluster) { c.Routes = c.Routes[:1] }, "one server cannot agree"},
		{"route", func(c *Cluster) { c.Routes = []string{"127.0.0.1:6222", "nats://127.0.0.1:6222"} }, `cluster routes[1] "nats://127.0.0.1:6222"`},
		{"route without host", func(c *Cluster) { c.Routes[1] = ":6222" }, "the host is missing"},
		{"route twice", func(c *Cluster) { c.Routes[1] = c.Routes[0] }, "it is there twice"},
		{"listens to others", func(c *Cluster) { c.Listen = "0.0.0.0:6222" }, "0.0.0.0:6222 is not on a loopback address"},
		{"listens to all", func(c *Cluster) { c.Listen = ":6222" }, ":6222 is not on a loopback address"},
		{"routes to others", func(c *Cluster) { c.Routes[1] = "10.0.0.2:6222" }, "name a user and a password"},
		{"the same with a user", func(c *Cluster) { c.Routes[1], c.User, c.Password = "10.0.0.2:6222", "u", "p" }, ""},
		{"user alone", func(c *Cluster) { c.User = "u" }, "set both or none"},
		{"password alone", func(c *Cluster) { c.Password = "p" }, "set both or none"},
		{"hashed password", func(c *Cluster) { c.User, c.Password = "u", "$2a$11$aaaa" }, "give it plain"},
		{"empty tag", func(c *Cluster) { c.Tags = []string{""} }, `cluster tags[0] ""`},
		{"tag", func(c *Cluster) { c.Tags = []string{"a", "!b"} }, `cluster tags[1] "!b": use letters`},
		{"tag twice", func(c *Cluster) { c.Tags = []string{"a.b", "A.B"} }, `cluster tags[1] "A.B": it is there twice`},
		{"tls", func(c *Cluster) { c.TLS = "}" }, "cluster tls: "},
		{"tls of others", func(c *Cluster) { c.TLS = "}\nport: 5\nx {" }, "cluster tls: "},
		{"tls unknown", func(c *Cluster) { c.TLS = "cart_file: x" }, "cart_file"},
		{"tls without files", func(c *Cluster) { c.TLS = "cert_file: /none.pem, key_file: /none.key" }, "none.pem"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := loopbackCluster()
			tt.change(&c)
			_, err := (&Server{Cluster: &c}).Config()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	c := loopbackCluster()
	if _, err := (&Server{Listen: NoListener, Cluster: &c}).Config(); err == nil || !strings.Contains(err.Error(), "needs a client address") {
		t.Errorf("without a listener: %v", err)
	}
}

func TestConfigHidesTheClusterPassword(t *testing.T) {
	c := loopbackCluster()
	c.User, c.Password = "host", "sesame"
	text, err := (&Server{Cluster: &c}).Config()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "sesame") || !strings.Contains(text, `"host"`) {
		t.Error(text)
	}
	if c.Password != "sesame" {
		t.Error("Config changed the field")
	}
}

func TestSecretsArriveAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := loopbackCluster()
		c.User, c.Password = rapid.StringN(1, 20, -1).Draw(t, "user"), rapid.StringN(1, 20, -1).Draw(t, "password")
		if strings.HasPrefix(c.Password, "$2") {
			t.Skip("looks hashed")
		}
		o := options(t, &Server{Cluster: &c})
		if o.Cluster.Username != c.User || o.Cluster.Password != c.Password {
			t.Fatalf("expected of others: %q %q", o.Cluster.Username, o.Cluster.Password)
		}
		for _, u := range o.Routes {
			if password, _ := u.User.Password(); u.User.Username() != c.User || password != c.Password {
				t.Fatalf("shown to others: %v", u.User)
			}
		}
	})
}

// FuzzClusterTLS holds that what stands in the tls block changes nothing outside of it.
func FuzzClusterTLS(f *testing.F) {
	for _, seed := range []string{
		"", "timeout: 5", "}", "{", "verify: true }, port: 1, x {", "} } accounts { TRIREME {} } x { y {", "# }", "\"a\": }", "timeout: 3 # }\n", "cipher_suites: []",
	} {
		f.Add(seed)
	}
	c := loopbackCluster()
	users := []User{{Name: "adama", Password: "p", Role: RoleClient}} // without any, a key that is made anew shows
	plain := protected(options(f, &Server{Cluster: &c, Clients: users}))
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") || strings.Contains(strings.ToLower(text), "file") {
			t.Skip("it would read files")
		}
		c := loopbackCluster()
		c.TLS = text
		s := &Server{Cluster: &c, Clients: users}
		if _, err := s.Config(); err != nil {
			return
		}
		if got := protected(options(t, s)); !reflect.DeepEqual(got, plain) {
			t.Errorf("%q changes it to\n%+v\nfrom\n%+v", text, got, plain)
		}
	})
}
