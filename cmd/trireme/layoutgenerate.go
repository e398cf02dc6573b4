package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"trireme/internal/layout"
	"trireme/internal/layoutfile"
)

const generateLong = `Make a layout whose stripes lie over the hosts like a rainbow: each host leads
equally many, and the stripes of one leader have different successors, so that
its load spreads when it dies. The layout goes to stdout or to --out; what each
host has to do, and what it gets when another one dies, goes to stderr.

` + hostsHelp + `

With --local it writes the files of a cluster on this machine instead, into --dir:
layout.conf, and h1.conf and so on for "trireme serve --config". Host i takes the
ports P+i for clients, P+100+i for routes and P+200+i for HTTP, P being
--base-port, and keeps its data in --dir/hi.

A layout is made for new clusters. To change one that runs, edit its file, raise
the version, and ask "trireme layout diff".`

// A generateFlags is what the command line says of a layout to make.
type generateFlags struct {
	hosts      []string
	perHost    int
	stripes    int
	replicas   int
	partitions int
	version    uint64
	out        string
	yes        bool
	local      localFlags
}

// A generatedView is what was made, as -o json tells it.
type generatedView struct {
	layoutName
	Files  []string      `json:"files"` // that were written
	Layout layout.Layout `json:"layout"`
	Report layout.Report `json:"report"`
}

func (a *app) layoutGenerateCommand() *cobra.Command {
	var f generateFlags
	c := &cobra.Command{
		Use: "generate", Short: "Make a layout, or the files of a cluster on this machine", Long: generateLong,
		Example: `  trireme layout generate --hosts h1=10.0.0.1,h2=10.0.0.2,h3=10.0.0.3 > layout.conf
  trireme layout generate --hosts "h1=a h2=b h3=c h4=d" --stripes 64 --out layout.conf
  trireme layout generate --local 3 --dir cluster`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.local.wanted(cmd) {
				return a.generateLocal(cmd, &f)
			}
			return a.generate(cmd, &f)
		},
	}
	fl := c.Flags()
	fl.StringArrayVar(&f.hosts, "hosts", nil, "the `hosts`, as in h1=10.0.0.1,h2=10.0.0.2")
	fl.IntVar(&f.perHost, "stripes-per-host", layout.DefaultStripesPerHost, "stripes that each host leads")
	fl.IntVar(&f.stripes, "stripes", 0, "stripes in all, instead of --stripes-per-host; 64 gives each partition its own")
	fl.IntVar(&f.replicas, "replicas", 0, "copies of each stripe: 1, 3 or 5; when it is not given 3, or 1 on fewer than three hosts")
	fl.IntVar(&f.partitions, "partitions", layout.DefaultPartitions, "partitions of all documents")
	fl.Uint64Var(&f.version, "version", 1, "version of the layout")
	fl.StringVar(&f.out, "out", "", "write the layout to this `file` instead of stdout")
	fl.BoolVarP(&f.yes, "yes", "y", false, "overwrite files that exist")
	f.local.flags(fl)
	return c
}

// layout makes the layout of these hosts.
func (f *generateFlags) layout(cmd *cobra.Command, hosts []layout.Host) (layout.Layout, error) {
	for _, n := range []struct {
		flag  string
		value int
	}{
		{"stripes-per-host", f.perHost}, {"stripes", f.stripes}, {"replicas", f.replicas}, {"partitions", f.partitions},
	} {
		if n.value < 1 && cmd.Flags().Changed(n.flag) {
			return layout.Layout{}, usage("--%s %d: want 1 or more", n.flag, n.value)
		}
	}
	if f.version == 0 {
		return layout.Layout{}, usage("--version 0: want 1 or more")
	}
	plan := layout.Plan{Version: f.version, Hosts: hosts, Replicas: f.replicas, Partitions: f.partitions, Stripes: f.stripes}
	if f.stripes == 0 || cmd.Flags().Changed("stripes-per-host") {
		plan.StripesPerHost = f.perHost
	}
	l, err := layout.Generate(plan)
	if err != nil {
		return layout.Layout{}, usage("%w", err)
	}
	return l, nil
}

// generate writes a layout to stdout or to a file.
func (a *app) generate(cmd *cobra.Command, f *generateFlags) error {
	if err := f.local.refuse(cmd); err != nil {
		return err
	}
	if len(f.hosts) == 0 {
		return hint(usage("--hosts is missing"), "--hosts h1=10.0.0.1,h2=10.0.0.2,h3=10.0.0.3, or --local 3 --dir DIR for a cluster on this machine")
	}
	hosts, err := parseHosts(f.hosts)
	if err != nil {
		return err
	}
	l, err := f.layout(cmd, hosts)
	if err != nil {
		return err
	}
	v := generatedView{nameLayout(f.out, l), []string{}, l, layout.NewReport(l)}
	text := layoutfile.Format(l)
	tell := func(w io.Writer) { _, _ = w.Write(text) } // to memory
	if f.out != "" {
		if err := f.write(newFile{f.out, text, 0o644}); err != nil {
			return err
		}
		v.Files = append(v.Files, f.out)
		tell = v.print
	}
	return a.tellLayout(&v, tell)
}

func (v *generatedView) print(w io.Writer) {
	for _, path := range v.Files {
		fmt.Fprintf(w, "wrote %s\n", path)
	}
	fmt.Fprintf(w, "layout %d: %s, digest %s\n", v.Version, sizeOf(v.Layout), v.Digest)
}

// tellLayout answers, and tells people of the loads beside it.
func (a *app) tellLayout(v *generatedView, tell func(io.Writer)) error {
	if err := a.answer(v, tell); err != nil {
		return err
	}
	if a.output != asJSON {
		printReport(a.err, v.Report)
	}
	return nil
}

// A newFile is one to be written.
type newFile struct {
	path string
	text []byte
	mode os.FileMode
}

// write writes all files, or none when one exists and --yes does not stand.
func (f *generateFlags) write(files ...newFile) error {
	for _, w := range files {
		if _, err := os.Lstat(w.path); err == nil && !f.yes {
			return &failure{exit: exitRefused, err: fmt.Errorf("%s exists", w.path), hint: "--yes overwrites it"}
		}
	}
	for _, w := range files {
		if err := layoutfile.WriteFile(w.path, w.text, w.mode); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Base(w.path), err)
		}
	}
	return nil
}
