package ops

import (
	"errors"
	"testing"
)

// Whatever is sent, the host is told something whole or nothing.
func FuzzVerbs(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `{"drain":true}`, `{"stripe":"s1","to":"h2"}`, `{"stripe":"s1","to":"h2"}x`, `[`, `null`, `{"drain":null}`,
		`{"stripe":"s1","partition":7}`, `{"for":"2h"}`, `{"bytes_per_second":1,"tranquility":2}`, `{"plan":{"host":"h1"}}`,
		`{"plan":{"stripe":"s1","situation":"x"}}`, `{"job":"x","stop":true}`, `{"plan":null}`, `{"for":null}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		host := &controlled{}
		c := &Control{Host: "h1", Status: member, Controller: host}
		for name, do := range c.verbs() {
			host.told = nil
			_, err := do(t.Context(), body)
			r, refused := errors.AsType[*Refusal](err)
			if err != nil && (!refused || r.Code != CodeMalformed || r.Text == "") {
				t.Errorf("%s %q: %v", name, body, err)
			}
			if (len(host.told) == 1) != (err == nil) {
				t.Errorf("%s %q: told %q, %v", name, body, host.told, err)
			}
		}
		steered := &repairer{}
		c = &Control{Host: "h1", Status: member, Repair: steered}
		for name, do := range c.verbs() {
			_, err := do(t.Context(), body)
			if r, refused := errors.AsType[*Refusal](err); err != nil && (!refused || r.Text == "" || r.Hint == "") {
				t.Errorf("%s %q: %v", name, body, err)
			}
		}
		c.jobs.close()
	})
}
