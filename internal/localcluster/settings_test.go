package localcluster

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"trireme/internal/config"
)

func TestSettings(t *testing.T) {
	for name, text := range map[string]string{
		"no block":      "host: h1\n",
		"on one line":   "host: h1\ncluster { name: old, poll: 9s }\nlog { max_bytes: 1GB }\n",
		"on many lines": "host: h1\ncluster {\n  name: old\n  poll: 9s\n}\nlog {\n  max_bytes: 1GB\n}\n",
		"twice":         "cluster { poll: 1m }\nhost: h1\ncluster { poll: 9s }\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := &Host{File: filepath.Join(t.TempDir(), "h1.conf")}
			if err := os.WriteFile(h.File, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, err := range []error{
				h.Set("cluster", "poll", "200ms"), h.Set("cluster", "name", "new"),
				h.Configure("log { max_bytes: 2GB }"), h.Set("log", "keep_bytes", "1MB"), h.Configure(""),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			cfg, err := config.Load(h.File)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Host != "h1" || cfg.Cluster.Poll != 200*time.Millisecond || cfg.Cluster.Name != "new" || cfg.Log != (config.Log{MaxBytes: 2 << 30, KeepBytes: 1 << 20}) {
				t.Errorf("%+v %+v", cfg.Cluster, cfg.Log)
			}
		})
	}
	if _, err := setIn("cluster {", "cluster", "poll", "1s"); err == nil {
		t.Error("a block without end was taken")
	}
}
