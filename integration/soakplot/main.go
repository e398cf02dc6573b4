// Command soakplot draws what a soak has measured:
//
//	soakplot [-o soak.png] RECORD
//
// RECORD has the lines of JSON that the soak writes, whether it has ended or not. The
// picture has one graph for each series, with a line for each host, and a thin vertical
// mark where a fault struck. On standard output is what became of each series. The exit
// status is 1 when it cannot be drawn; a series that is not flat is the soak's affair.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"trireme/internal/soak"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("soakplot", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", "soak.png", "the `picture`, a PNG")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() != 1 {
		fmt.Fprintln(stderr, "usage: soakplot [-o PICTURE] RECORD")
		return 2
	}
	samples, err := read(flags.Arg(0))
	if err == nil {
		err = written(*out, samples)
	}
	if err != nil {
		fmt.Fprintln(stderr, "soakplot:", err)
		return 1
	}
	for _, trend := range soak.Judge(samples) {
		fmt.Fprintln(stdout, &trend)
	}
	return 0
}

func read(path string) ([]soak.Sample, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	samples, err := soak.Read(f)
	if err == nil && len(samples) == 0 {
		err = errors.New("there are no samples")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return samples, nil
}

func written(path string, samples []soak.Sample) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(draw(f, samples), f.Close())
}
