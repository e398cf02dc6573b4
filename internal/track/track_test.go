package track

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheRecordIsKeptAndAddedUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.jsonl")
	for _, r := range []Run{
		{Fault: "kill", What: "a host is killed", Times: 2, Acked: 100, PauseMS: 900},
		{Fault: "cut", Times: 1, Acked: 7, Outage: true, Errors: 3},
		{Fault: "kill", What: "a host is killed", Times: 3, Acked: 50, Lost: 1, PauseMS: 4200, Failed: "1 change is lost"},
	} {
		if err := Append(path, r); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := Read(path)
	if err != nil || len(runs) != 3 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	sums := Sums(runs)
	if len(sums) != 2 || sums[0].Fault != "cut" || sums[0].Verdict() != "passed" {
		t.Fatalf("%+v", sums)
	}
	kill := sums[1]
	if kill.Runs != 2 || kill.Times != 5 || kill.Acked != 150 || kill.Lost != 1 || kill.PauseMS != 4200 || kill.Verdict() != "1 of 2 FAILED" {
		t.Errorf("%+v", kill)
	}
	var table, text bytes.Buffer
	if err := Table(&table, sums); err != nil || !strings.Contains(table.String(), "3 (outage)") || !strings.Contains(table.String(), "4.2s") {
		t.Errorf("%v\n%s", err, &table)
	}
	if err := Markdown(&text, sums); err != nil || strings.Count(text.String(), "\n") != 4 || !strings.Contains(text.String(), "| a host is killed |") {
		t.Errorf("%v\n%s", err, &text)
	}
}

func TestARecordThatCannotBeReadIsRefused(t *testing.T) {
	for name, text := range map[string]string{"not JSON": "{", "no fault": `{"runs":1}`} {
		path := filepath.Join(t.TempDir(), "record.jsonl")
		if err := os.WriteFile(path, []byte(`{"fault":"kill"}`+"\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
