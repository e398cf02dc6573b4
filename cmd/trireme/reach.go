package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"
)

// Names of settings, as the files of NATS contexts have them.
const (
	setURL      = "url"
	setUser     = "user"
	setPassword = "password"
	setToken    = "token"
	setCreds    = "creds"
	setNKey     = "nkey"
	setJWT      = "user_jwt"
	setSeed     = "user_seed"
	setCert     = "cert"
	setKey      = "key"
	setCA       = "ca"
	setInbox    = "inbox_prefix"
)

// said is where a setting can be said besides a context: as the nats command has it.
var said = []struct{ setting, flag, env, help string }{
	{setUser, "user", "NATS_USER", "`name` of the user; without a password it is a token"},
	{setPassword, "password", "NATS_PASSWORD", "the user's `password`"},
	{setToken, "", "NATS_TOKEN", ""},
	{setCreds, "creds", "NATS_CREDS", "credentials `file` of the user"},
	{setNKey, "nkey", "NATS_NKEY", "`file` with the user's nkey seed"},
	{setJWT, "", "NATS_JWT", ""},
	{setSeed, "", "NATS_SEED", ""},
	{setCert, "tlscert", "NATS_CERT", "`file` with the certificate that is shown"},
	{setKey, "tlskey", "NATS_KEY", "`file` with its private key"},
	{setCA, "tlsca", "NATS_CA", "`file` with the authorities that are trusted"},
}

// A setting is one thing that says how to connect, and where it was said.
type setting struct{ value, from string }

// settings by their names.
type settings map[string]setting

// A reach is what the command line says of how to reach a host.
type reach struct {
	flags     map[string]*string // settings but the URL, which is app's
	tlsFirst  bool
	context   string
	noContext bool
}

func (r *reach) register(f *pflag.FlagSet) {
	r.flags = map[string]*string{}
	for _, s := range said {
		if s.flag != "" {
			r.flags[s.setting] = f.String(s.flag, "", s.help+"; else "+s.env)
		}
	}
	f.BoolVar(&r.tlsFirst, "tlsfirst", false, "begin with TLS, before the server's greeting")
	f.StringVar(&r.context, "context", "", "`name` of a NATS context to connect by; else NATS_CONTEXT, else the selected one")
	f.BoolVar(&r.noContext, "no-context", false, "connect by no NATS context")
}

// A target is where to connect and how.
type target struct {
	urls    string // with commas between them
	options []nats.Option
}

// target is what flags, the environment and the NATS context say together: for each
// setting the first of them that has it. Who the user is, is taken from one of them:
// somebody named on the command line has nothing of the context's user.
func (a *app) target() (target, error) {
	flags, env := a.reach.given(a.server)
	layers := []settings{flags, env}
	if urls := pick(layers, setURL).value; overHTTP(urls) {
		return target{urls: urls}, nil // NATS has no part in it
	}
	c, err := a.reach.findContext()
	if err != nil {
		return target{}, hint(usage("%w", err), "`nats context ls` lists contexts; --no-context does without any")
	}
	layers = append(layers, c.settings)
	t := target{urls: cmp.Or(pick(layers, setURL).value, nats.DefaultURL)}
	who, errWho := userOption(layers)
	secure, errSecure := tlsOptions(layers)
	if err := errors.Join(errWho, errSecure); err != nil {
		return target{}, usage("%w", err)
	}
	t.options = append(who, secure...)
	if prefix := pick(layers, setInbox).value; prefix != "" {
		t.options = append(t.options, nats.CustomInboxPrefix(prefix))
	}
	if a.reach.tlsFirst || c.tlsFirst {
		t.options = append(t.options, nats.TLSHandshakeFirst())
	}
	return t, nil
}

// given are the settings of the command line and of the environment.
func (r *reach) given(server string) (flags, env settings) {
	flags, env = settings{}, settings{}
	flags.say(setURL, server, "--server")
	env.say(setURL, os.Getenv("NATS_URL"), "NATS_URL")
	for _, s := range said {
		if value := r.flags[s.setting]; value != nil {
			flags.say(s.setting, *value, "--"+s.flag)
		}
		env.say(s.setting, os.Getenv(s.env), s.env)
	}
	return flags, env
}

func (s settings) say(name, value, from string) {
	if value != "" {
		s[name] = setting{value, from}
	}
}

// pick is the setting of the first layer that has it.
func pick(layers []settings, name string) setting {
	for _, l := range layers {
		if s, ok := l[name]; ok {
			return s
		}
	}
	return setting{}
}

// contextLayer is the place of a context among the layers.
const contextLayer = 2

// userOption is who the client is: of the first layer that says so.
func userOption(layers []settings) ([]nats.Option, error) {
	for i, l := range layers {
		upTo := layers[:max(i+1, contextLayer)] // flags and environment complete each other
		switch {
		case l[setUser].value != "":
			password := pick(upTo, setPassword).value
			if password == "" && i < contextLayer {
				return []nats.Option{nats.Token(l[setUser].value)}, nil
			}
			return []nats.Option{nats.UserInfo(l[setUser].value, password)}, nil
		case l[setCreds].value != "":
			file, err := l[setCreds].file()
			return []nats.Option{nats.UserCredentials(file)}, err
		case l[setNKey].value != "":
			file, err := l[setNKey].file()
			if err != nil {
				return nil, err
			}
			option, err := nats.NkeyOptionFromSeed(file)
			if err != nil {
				return nil, l[setNKey].wrong(err)
			}
			return []nats.Option{option}, nil
		case l[setJWT].value != "":
			seed := pick(upTo, setSeed).value
			if seed == "" {
				return nil, fmt.Errorf("%s: it needs a seed; say it in NATS_SEED or in the context", l[setJWT].from)
			}
			return []nats.Option{nats.UserJWTAndSeed(l[setJWT].value, seed)}, nil
		case l[setToken].value != "":
			return []nats.Option{nats.Token(l[setToken].value)}, nil
		}
	}
	return nil, nil
}

func tlsOptions(layers []settings) ([]nats.Option, error) {
	var options []nats.Option
	cert, key, ca := pick(layers, setCert), pick(layers, setKey), pick(layers, setCA)
	switch {
	case cert.value != "" && key.value != "":
		certFile, errCert := cert.file()
		keyFile, errKey := key.file()
		if err := errors.Join(errCert, errKey); err != nil {
			return nil, err
		}
		options = append(options, nats.ClientCert(certFile, keyFile))
	case cert.value != "":
		return nil, cert.wrong(errors.New("a certificate goes with its key; give --tlskey, too"))
	case key.value != "":
		return nil, key.wrong(errors.New("a key goes with its certificate; give --tlscert, too"))
	}
	if ca.value != "" {
		file, err := ca.file()
		if err != nil {
			return nil, err
		}
		options = append(options, nats.RootCAs(file))
	}
	return options, nil
}

// wrong is an error that names the setting and what it is set to. It is not for secrets.
func (s setting) wrong(err error) error { return fmt.Errorf("%s %q: %w", s.from, s.value, err) }

// file is the path that the setting names, with ~ and variables as the nats command
// has them, if it can be read.
func (s setting) file() (string, error) {
	if scheme, _, is := strings.Cut(s.value, "://"); is {
		return "", s.wrong(fmt.Errorf("trireme reads files only, and asks nothing at %s://; name a file", scheme))
	}
	path := os.ExpandEnv(s.value)
	if strings.HasPrefix(path, "~") {
		home, err := homeDir()
		if err != nil {
			return "", s.wrong(err)
		}
		path = home + strings.TrimPrefix(path, "~")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", s.wrong(err)
	}
	return path, f.Close()
}

// redacted are URLs without their passwords.
func redacted(urls string) string {
	list := strings.Split(urls, ",")
	for i, text := range list {
		text = strings.TrimSpace(text)
		if u, err := url.Parse(text); err == nil && strings.Contains(text, "://") {
			list[i] = u.Redacted()
		} else {
			list[i] = text[strings.LastIndex(text, "@")+1:]
		}
	}
	return strings.Join(list, ",")
}
