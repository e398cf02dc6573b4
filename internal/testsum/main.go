// Command testsum runs go test and closes with a count of the tests that
// passed, failed and were skipped, and with the name and reason of each that
// was skipped: a green run in which nothing ran must not look like a good one.
//
//	testsum [-v] [-dir DIR]... -- [go test flags] [packages]
//
// Each -dir is a module to test, by default the working directory. With -v the
// output of every test is shown, else that of failed ones. The exit status is 0
// when at least one test ran and none failed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var dirs []string
	flags := flag.NewFlagSet("testsum", flag.ContinueOnError)
	flags.SetOutput(stderr)
	verbose := flags.Bool("v", false, "show the output of every test")
	flags.Func("dir", "a `module` to test; may be repeated", func(dir string) error {
		dirs = append(dirs, dir)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	t := tally{out: stdout, verbose: *verbose}
	status := 0
	for _, dir := range dirs {
		if err := test(&t, dir, flags.Args(), stderr); err != nil {
			fmt.Fprintf(stderr, "testsum: %s: %v\n", dir, err)
			status = 1
		}
	}
	t.close()
	if t.failed > 0 || t.passed == 0 {
		status = 1
	}
	return status
}

// test runs go test in one module and feeds what it says to the tally.
func test(t *tally, dir string, args []string, stderr io.Writer) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = dir
	cmd.Stderr = stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	return errors.Join(t.read(events), cmd.Wait())
}
