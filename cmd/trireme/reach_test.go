package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"
)

// saveContext writes a context as the nats command does, and selects it when told.
func saveContext(t *testing.T, name, text string, selected bool) {
	t.Helper()
	dir := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "nats")
	if err := os.MkdirAll(filepath.Join(dir, "context"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "context", name+".json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if !selected {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, "context.txt"), []byte(name), 0o600); err != nil {
		t.Fatal(err)
	}
}

// found is the target of a command line, as one line.
func found(t *testing.T, args string) string {
	t.Helper()
	a := &app{}
	f := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.StringVarP(&a.server, "server", "s", "", "")
	a.reach.register(f)
	if err := f.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	to, err := a.target()
	if err != nil {
		return "error: " + err.Error()
	}
	o := nats.GetDefaultOptions()
	for _, option := range to.options {
		if err := option(&o); err != nil {
			return "error: " + err.Error()
		}
	}
	parts := []string{to.urls}
	for _, p := range [][2]string{{"user", o.User}, {"password", o.Password}, {"token", o.Token}, {"nkey", o.Nkey}, {"inbox", o.InboxPrefix}} {
		if p[1] != "" {
			parts = append(parts, p[0]+"="+p[1])
		}
	}
	if o.TLSHandshakeFirst {
		parts = append(parts, "tlsfirst")
	}
	if o.UserJWT != nil {
		parts = append(parts, "signs")
	}
	return strings.Join(parts, " ")
}

// Flags come before the environment, and that before the context.
func TestWhereToConnect(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	saveContext(t, "home", `{"url":"nats://home:1,nats://home:2","user":"ann","password":"pw","color_scheme":"red","some_day":{"x":1}}`, true)
	saveContext(t, "away", `{"description":"x","url":"tls://away:1","token":"tok","inbox_prefix":"_INBOX.me","tls_first":true,"windows_ca_certs_match":null}`, false)
	saveContext(t, "empty", `{}`, false)
	creds := filepath.Join(dir, "u.creds")
	if err := os.WriteFile(creds, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("THE_DIR", dir)
	saveContext(t, "creds", `{"creds":"$THE_DIR/u.creds","user_seed":"x"}`, false)
	for _, c := range []struct{ args, env, want string }{
		{"", "", "nats://home:1,nats://home:2 user=ann password=pw"},
		{"--no-context", "", nats.DefaultURL},
		{"--context away", "", "tls://away:1 token=tok inbox=_INBOX.me tlsfirst"},
		{"--context empty", "", nats.DefaultURL},
		{"--context creds", "", nats.DefaultURL + " signs"},
		{"--context " + filepath.Join(dir, "nats", "context", "away.json"), "", "tls://away:1 token=tok inbox=_INBOX.me tlsfirst"},
		{"", "NATS_CONTEXT=away", "tls://away:1 token=tok inbox=_INBOX.me tlsfirst"},
		{"--context empty", "NATS_CONTEXT=away", nats.DefaultURL},
		{"", "NATS_URL=nats://env", "nats://env user=ann password=pw"},
		{"-s nats://flag", "NATS_URL=nats://env", "nats://flag user=ann password=pw"},
		{"--password p2", "", "nats://home:1,nats://home:2 user=ann password=p2"},
		{"--user bob", "", "nats://home:1,nats://home:2 token=bob"},
		{"--user bob --password p2 --no-context", "", nats.DefaultURL + " user=bob password=p2"},
		{"--user bob", "NATS_PASSWORD=p3", "nats://home:1,nats://home:2 user=bob password=p3"},
		{"--no-context", "NATS_USER=eve NATS_PASSWORD=p3", nats.DefaultURL + " user=eve password=p3"},
		{"--user bob --no-context", "NATS_TOKEN=t", nats.DefaultURL + " token=bob"},
		{"--no-context", "NATS_TOKEN=t", nats.DefaultURL + " token=t"},
		{"--creds " + creds, "", "nats://home:1,nats://home:2 signs"},
		{"--no-context", "NATS_CREDS=" + creds, nats.DefaultURL + " signs"},
		{"--tlsfirst", "", "nats://home:1,nats://home:2 user=ann password=pw tlsfirst"},
		{"-s http://127.0.0.1:7422 --context nobody", "", "http://127.0.0.1:7422"},
	} {
		t.Run(c.args+" "+c.env, func(t *testing.T) {
			for pair := range strings.FieldsSeq(c.env) {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			if got := found(t, c.args); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Faults name where the setting was said: context, file and field.
func TestFaultsOfContexts(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	at := func(name string) string { return filepath.Join(dir, "nats", "context", name+".json") }
	for name, text := range map[string]string{
		"broken": `{"url":`, "typed": `{"url":7}`, "list": `[]`, "nsc": `{"nsc":"nsc://o/a/u"}`, "proxy": `{"socks_proxy":"socks5://p"}`,
		"store": `{"windows_cert_store":"user"}`, "creds": `{"creds":"/nowhere/u.creds"}`, "op": `{"creds":"op://vault/x"}`,
		"nkey": `{"nkey":"` + at("creds") + `"}`, "cert": `{"cert":"c.pem"}`, "key": `{"key":"k.pem"}`, "ca": `{"ca":"/nowhere/ca.pem"}`,
		"jwt": `{"user_jwt":"secret"}`,
	} {
		saveContext(t, name, text, false)
	}
	for _, c := range []struct {
		args  string
		wants []string
	}{
		{"--context nobody", []string{`--context "nobody"`, "no such context", at("nobody")}},
		{"--context ../x", []string{`--context "../x"`, "cannot be the name"}},
		{"--context broken --no-context", []string{`--context "broken" does not go with --no-context`}},
		{"--context broken", []string{`context "broken"`, at("broken"), "unexpected end"}},
		{"--context typed", []string{`context "typed"`, at("typed"), "url: want a string, not a number"}},
		{"--context list", []string{`context "list"`, at("list"), "array"}},
		{"--context nsc", []string{`context "nsc"`, at("nsc"), `nsc "nsc://o/a/u"`, "--creds instead"}},
		{"--context proxy", []string{`context "proxy"`, `socks_proxy "socks5://p"`}},
		{"--context store", []string{`context "store"`, `windows_cert_store "user"`, "--tlscert"}},
		{"--context creds", []string{`context "creds"`, at("creds"), `creds "/nowhere/u.creds"`, "no such file"}},
		{"--context op", []string{`context "op"`, `creds "op://vault/x"`, "reads files only"}},
		{"--context nkey", []string{`context "nkey"`, at("nkey"), "nkey "}},
		{"--context cert", []string{`context "cert"`, `cert "c.pem"`, "--tlskey"}},
		{"--context key", []string{`context "key"`, `key "k.pem"`, "--tlscert"}},
		{"--context ca", []string{`context "ca"`, `ca "/nowhere/ca.pem"`, "no such file"}},
		{"--context jwt", []string{`context "jwt"`, "user_jwt", "seed"}},
		{"--creds /nowhere", []string{`--creds "/nowhere"`, "no such file"}},
		{"--tlsca /nowhere --nkey /nowhere", []string{`--tlsca "/nowhere"`, `--nkey "/nowhere"`}},
	} {
		t.Run(c.args, func(t *testing.T) {
			got := found(t, c.args)
			if !strings.HasPrefix(got, "error: ") || strings.Contains(got, "secret") {
				t.Errorf("got %s", got)
			}
			for _, want := range c.wants {
				if !strings.Contains(got, want) {
					t.Errorf("%s does not name %s", got, want)
				}
			}
		})
	}
}

func TestPasswordsAreNotPrinted(t *testing.T) {
	for urls, want := range map[string]string{
		"nats://ann:secret@h1:4222,nats://h2": "nats://ann:xxxxx@h1:4222,nats://h2",
		"ann:secret@h1:4222":                  "h1:4222",
		"h1":                                  "h1",
	} {
		if got := redacted(urls); got != want {
			t.Errorf("%s is printed as %s, want %s", urls, got, want)
		}
	}
}
