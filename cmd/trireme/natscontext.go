package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// A natsContext is what a file of the nats command's contexts says, as far as it
// matters here.
type natsContext struct {
	settings
	tlsFirst bool
}

// A contextFile has the fields of a context's file that say how to connect. What says
// how JetStream is reached, or what colors a terminal shows, is none of ours.
type contextFile struct {
	URL         string `json:"url"`
	User        string `json:"user"`
	Password    string `json:"password"`
	Token       string `json:"token"`
	Creds       string `json:"creds"`
	NKey        string `json:"nkey"`
	JWT         string `json:"user_jwt"`
	Seed        string `json:"user_seed"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
	InboxPrefix string `json:"inbox_prefix"`
	TLSFirst    bool   `json:"tls_first"`

	// What connects the nats command and not this one.
	NSC        string `json:"nsc"`
	SocksProxy string `json:"socks_proxy"`
	CertStore  string `json:"windows_cert_store"`
}

// findContext is the context of --context, of NATS_CONTEXT, or the one that `nats
// context select` has selected. Without any it is empty.
func (r *reach) findContext() (natsContext, error) {
	if r.noContext {
		if r.context != "" {
			return natsContext{}, fmt.Errorf("--context %q does not go with --no-context", r.context)
		}
		return natsContext{}, nil
	}
	name, from := r.context, "--context"
	if name == "" {
		name, from = os.Getenv("NATS_CONTEXT"), "NATS_CONTEXT"
	}
	if strings.HasSuffix(name, ".json") {
		if _, err := os.Stat(name); err == nil {
			return readContext(name, strings.TrimSuffix(filepath.Base(name), ".json"))
		}
	}
	dir, err := contextDir()
	if err != nil && name == "" {
		return natsContext{}, nil // there can be none
	} else if err != nil {
		return natsContext{}, fmt.Errorf("%s %q: %w", from, name, err)
	}
	if name == "" {
		from = filepath.Join(dir, "context.txt")
		text, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			return natsContext{}, nil
		} else if err != nil {
			return natsContext{}, fmt.Errorf("find the selected NATS context: %w", err)
		}
		if name = strings.TrimSpace(string(text)); name == "" {
			return natsContext{}, nil
		}
	}
	if strings.Contains(name, "..") || strings.ContainsAny(name, `/\`) {
		return natsContext{}, fmt.Errorf("%s %q: it cannot be the name of a context", from, name)
	}
	file := filepath.Join(dir, "context", name+".json")
	c, err := readContext(file, name)
	if errors.Is(err, fs.ErrNotExist) {
		return natsContext{}, fmt.Errorf("%s %q: there is no such context: no file %s", from, name, file)
	}
	return c, err
}

// readContext reads one context.
func readContext(path, name string) (natsContext, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return natsContext{}, fmt.Errorf("context %q: %w", name, err)
	}
	origin := fmt.Sprintf("context %q (%s)", name, path)
	var f contextFile
	if err := json.Unmarshal(text, &f); err != nil {
		if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && kind.Field != "" {
			return natsContext{}, fmt.Errorf("%s: %s: want a %v, not a %s", origin, kind.Field, kind.Type, kind.Value)
		}
		return natsContext{}, fmt.Errorf("%s: %w", origin, err)
	}
	c := natsContext{settings: settings{}, tlsFirst: f.TLSFirst}
	for name, value := range map[string]string{
		setURL: f.URL, setUser: f.User, setPassword: f.Password, setToken: f.Token, setCreds: f.Creds, setNKey: f.NKey,
		setJWT: f.JWT, setSeed: f.Seed, setCert: f.Cert, setKey: f.Key, setCA: f.CA, setInbox: f.InboxPrefix,
	} {
		c.say(name, value, origin+": "+name)
	}
	for _, no := range []struct{ field, value, instead string }{
		{"nsc", f.NSC, "save the context with --creds instead"},
		{"socks_proxy", f.SocksProxy, "connect without a proxy"},
		{"windows_cert_store", f.CertStore, "save the context with --tlscert and --tlskey instead"},
	} {
		if no.value != "" {
			return natsContext{}, fmt.Errorf("%s: %s %q: trireme cannot connect by it; %s", origin, no.field, no.value, no.instead)
		}
	}
	return c, nil
}

// contextDir is where the nats command keeps contexts.
func contextDir() (string, error) {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "nats"), nil
	}
	home, err := homeDir()
	return filepath.Join(home, ".config", "nats"), err
}

// homeDir is that of the account, whatever HOME says, as for the nats command; HOME
// where there are no accounts, as in a container.
func homeDir() (string, error) {
	if u, err := user.Current(); err == nil && u.HomeDir != "" {
		return u.HomeDir, nil
	}
	return os.UserHomeDir()
}
