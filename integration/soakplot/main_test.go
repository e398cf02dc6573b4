package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trireme/internal/soak"
)

// record is what two hosts measure in ten minutes, while a fault strikes twice.
func record(t *testing.T) string {
	t.Helper()
	var text bytes.Buffer
	for i := range 120 {
		for _, host := range []string{"h1", "h2"} {
			s := soak.Sample{At: time.Unix(int64(i*5), 0).UTC(), Host: host, Life: 1 + i/40, Resident: 100 << 20, LogDisk: int64(i) << 20}
			if host == "h1" {
				s.LogDisk = 1 << 20
			}
			if i >= 10 && i < 20 || i == 100 {
				s.Fault = "owner killed"
			}
			if err := soak.Write(&text, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "soak.jsonl")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheRecordIsDrawn(t *testing.T) {
	path := record(t)
	picture := filepath.Join(t.TempDir(), "soak.png")
	var out, errs bytes.Buffer
	if code := run([]string{"-o", picture, path}, &out, &errs); code != 0 {
		t.Fatalf("%d: %s", code, &errs)
	}
	f, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	// The lines of both hosts are in it: h1's is blue, h2's is red.
	blue, red := 0, 0
	size := img.Bounds()
	for y := range size.Dy() {
		for x := range size.Dx() {
			switch r, _, b, _ := img.At(x, y).RGBA(); {
			case b > r+1<<14:
				blue++
			case r > b+1<<14:
				red++
			}
		}
	}
	if blue < 100 || red < 500 {
		t.Errorf("%d blue pixels and %d red ones, of %v", blue, red, size)
	}
	for _, want := range []string{"h1, logs on disk: flat", "h2, logs on disk: GROWS"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, &out)
		}
	}
}

func TestFaultsAreMarkedOnce(t *testing.T) {
	samples, err := read(record(t))
	if err != nil {
		t.Fatal(err)
	}
	at := strikes(samples)
	if len(at) != 2 || at[0].Unix() != 50 || at[1].Unix() != 500 {
		t.Errorf("%v", at)
	}
}

func TestWhatCannotBeDrawnIsAnError(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 2, "usage"},
		{[]string{"-x"}, 2, "-x"},
		{[]string{empty}, 1, "there are no samples"},
		{[]string{empty + ".not"}, 1, "no such file"},
		{[]string{"-o", filepath.Join(empty, "x.png"), record(t)}, 1, "x.png"},
	} {
		var out, errs bytes.Buffer
		if code := run(c.args, &out, &errs); code != c.code || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%v: %d, %s", c.args, code, &errs)
		}
	}
}
