package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDocumentGetsItsTable(t *testing.T) {
	dir := t.TempDir()
	record, doc := filepath.Join(dir, "record.jsonl"), filepath.Join(dir, "doc.md")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(record, `{"fault":"kill","times":1,"acked":5}`+"\n")
	write(doc, "before\n"+beginMark+"old\n"+endMark+"after\n")
	var out, errs bytes.Buffer
	if code := run([]string{"-doc", doc, record}, &out, &errs); code != 0 {
		t.Fatalf("%d: %s", code, &errs)
	}
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); !strings.HasPrefix(got, "before\n"+beginMark+"| fault") || !strings.HasSuffix(got, "|\n"+endMark+"after\n") || strings.Contains(got, "old") {
		t.Errorf("%s", got)
	}

	write(record, `{"fault":"kill","failed":"it was lost"}`+"\n")
	if code := run([]string{"-o", "json", record}, &out, &errs); code != 1 || !strings.Contains(out.String(), `"failures": 1`) {
		t.Errorf("a run that failed: %d, %s", code, &out)
	}
	write(doc, "no marks\n")
	if code := run([]string{"-doc", doc, record}, &out, &errs); code != 1 || !strings.Contains(errs.String(), "marks") {
		t.Errorf("without marks: %d, %s", code, &errs)
	}
	if code := run(nil, &out, &errs); code != 2 {
		t.Errorf("without a record: %d", code)
	}
}
