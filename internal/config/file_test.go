package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, text string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trireme.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestDefaultIsValidAndAnEmptyFileIsTheDefault(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	got, err := load(t, "# nothing\n")
	if err != nil {
		t.Fatal(err)
	}
	got.Digest = ""
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("an empty file gives %+v", got)
	}
}

func TestEveryFieldIsRead(t *testing.T) {
	t.Setenv("TRIREME_TEST_PASSWORD", "s3cret")
	got, err := load(t, `
		size: 128MB
		host: west
		data: "/srv/t"
		listen: "127.0.0.1:-1"
		http: "127.0.0.1:0"
		layout: "https://conf.example/layout.conf"
		cluster { name: blue, listen: "10.0.0.1:6222", user: route, password: $TRIREME_TEST_PASSWORD, poll: 1s, prefer_after: 1m }
		log { max_bytes: 2GB, keep_bytes: $size }
		store { cache_bytes: 32MB, merged_bytes: -1, checkpoint: 500ms }
		requests { hold: 3s, max_in_flight: 10, max_bytes: 2MB }
		repair { interval: 5s, rate_bytes: 3MB, serve_bytes: 4MB, tranquility: 2, scrub: 24h }
		disk { reserve_bytes: 1MB }
		clients: [ { user: app, password: $TRIREME_TEST_PASSWORD }, { user: op, password: x, role: operator }, { user: m, password: y, role: system } ]
		nats { ping_interval: 20s, tls { cert_file: "c.pem" }, lame_duck_duration: 30s }
	`)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{`"ping_interval": "20s"`, `"cert_file": "c.pem"`} {
		if !strings.Contains(got.NATS, word) {
			t.Errorf("nats block %q lacks %s", got.NATS, word)
		}
	}
	got.NATS, got.Digest = "", ""
	want := Config{
		Host: "west", Data: "/srv/t", Listen: "127.0.0.1:-1", HTTP: "127.0.0.1:0",
		Layout:      "https://conf.example/layout.conf",
		Cluster:     Cluster{Name: "blue", Listen: "10.0.0.1:6222", User: "route", Password: "s3cret", Poll: time.Second, PreferAfter: time.Minute},
		Log:         Log{MaxBytes: 2 << 30, KeepBytes: 128 << 20},
		Store:       Store{CacheBytes: 32 << 20, MergedBytes: -1, Checkpoint: 500 * time.Millisecond},
		Requests:    Requests{Hold: 3 * time.Second, MaxInFlight: 10, MaxBytes: 2 << 20},
		Repair:      Repair{Interval: 5 * time.Second, RateBytes: 3 << 20, ServeBytes: 4 << 20, Tranquility: 2, Scrub: 24 * time.Hour},
		DiskReserve: 1 << 20,
		Clients:     []Client{{"app", "s3cret", "client"}, {"op", "x", "operator"}, {"m", "y", "system"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFaultsNamePlaceFieldValueAndRemedy(t *testing.T) {
	for text, wants := range map[string][]string{
		"hosst: h1":                {":1:", "hosst", "want one of", "host"},
		"\n\nlog { max_byte: 1 }":  {":3:", "log.max_byte", "max_bytes"},
		"log: 7":                   {"log", "block"},
		"store { checkpoint: 5 }":  {"store.checkpoint", "duration"},
		"store { checkpoint: 5h }": {"store.checkpoint", "5h"},
		"requests { hold: soon }":  {"requests.hold", "soon", "15s"},
		"repair { interval: 1ms, tranquility: -1, scrub: 1s }": {"repair.interval", "repair.tranquility", "repair.scrub", "1m"},
		"repair { rate_bytes: -1, serve_bytes: -2 }":           {"repair.rate_bytes", "repair.serve_bytes", "0 for no bound"},
		"host: \"a b\"":                                     {"host", "a b"},
		"listen: 4222":                                      {"listen", "4222"},
		"listen: \"127.0.0.1:99999\"":                       {"listen", "99999"},
		"log { max_bytes: 1MB }":                            {"log.max_bytes", "1048576"},
		"log { keep_bytes: many }":                          {"log.keep_bytes", "many"},
		"clients: [ { user: a, role: king, password: x } ]": {"clients[0].role", "king", "operator", "system"},
		"clients: [ { usr: a } ]":                           {"clients[0].usr"},
		"clients: { user: a }":                              {"clients", "list"},
		"nats: on":                                          {"nats", "block"},
		"host: {":                                           {"line 1"},
		"requests { max_in_flight: 99999999999 }":           {"requests.max_in_flight"},
		"host: one\nhttp: nowhere\ndata: \"\"":              {"http", "nowhere", "data"},
	} {
		_, err := load(t, text)
		if err == nil {
			t.Errorf("%q was taken", text)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v does not name %q", text, err, want)
			}
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.conf")); err == nil {
		t.Error("a missing file was taken")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("host: h1\nlog { max_bytes: 1GB }\nclients: [ { user: a, password: b } ]\nnats { debug: true }")
	f.Add("store { checkpoint: 2s } requests { hold: 15s }")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "include") {
			t.Skip("would read other files")
		}
		c, err := load(t, text)
		if err == nil && c.Validate() != nil {
			t.Errorf("a loaded configuration is invalid: %v", c.Validate())
		}
	})
}
