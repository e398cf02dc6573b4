package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"trireme/internal/config"
	"trireme/ops"
)

func (a *app) healthcheckCommand() *cobra.Command {
	var file, at string
	var ready bool
	c := &cobra.Command{
		Use: "healthcheck", Short: "Say whether the host of this machine lives",
		Long: `Say whether the host of this machine lives, by its exit code too: for a container's
health check and for supervisors. It asks /healthz, which answers while the process
lives, also while the host is held back or has no quorum: a restart would not help
then. With --ready it asks /readyz: would a request sent to the host be answered?`,
		Example: "  trireme healthcheck\n  trireme healthcheck --config /etc/trireme/trireme.conf --ready",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := httpOf(file, at)
			if err != nil {
				return err
			}
			return a.healthcheck(cmd.Context(), address, ready)
		},
	}
	hostFlags(c, &file, &at)
	c.Flags().BoolVar(&ready, "ready", false, "ask whether a request would be answered, not only whether the process lives")
	return c
}

// hostFlags say where the HTTP of this machine's host is.
func hostFlags(c *cobra.Command, file, at *string) {
	c.Flags().StringVarP(file, "config", "c", "", "the host's configuration `file`, which says where its HTTP is")
	c.Flags().StringVar(at, "http", "", "`address` of the host's HTTP, when that is not what the configuration says; without both, the default")
}

// httpOf finds the address by what the flags say.
func httpOf(file, at string) (string, error) {
	cfg := config.Default()
	if file != "" {
		var err error
		if cfg, err = config.Load(file); err != nil {
			return "", err
		}
	}
	address := cmp.Or(at, cfg.HTTP)
	if address == config.NoHTTP {
		return "", usage("the host has no HTTP to be asked by: its configuration says http: %s", config.NoHTTP)
	}
	return address, nil
}

// A healthView is what a host answers to whether it is well.
type healthView struct {
	HTTP       string          `json:"http"`
	Asked      string          `json:"asked"` // the page
	OK         bool            `json:"ok"`
	Conditions []ops.Condition `json:"conditions"` // of a host that answers; by /readyz only
}

func (v *healthView) print(w io.Writer) {
	state := "the host lives"
	switch {
	case !v.OK:
		state = "the host is not ready"
	case v.Asked == readyPage:
		state = "the host is ready"
	}
	fmt.Fprintln(w, state)
	told := make([]toldCondition, 0, len(v.Conditions))
	for _, c := range v.Conditions {
		told = append(told, toldCondition{Condition: c})
	}
	printConditions(w, told)
}

const (
	livePage  = "/healthz"
	readyPage = "/readyz"
)

func (a *app) healthcheck(ctx context.Context, at string, ready bool) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	v := &healthView{HTTP: at, Asked: livePage, Conditions: []ops.Condition{}}
	if ready {
		v.Asked = readyPage
	}
	code, raw, err := httpAsk(ctx, at, v.Asked)
	if err != nil {
		return &failure{exit: exitUnreachable, err: err}
	}
	v.OK = code == http.StatusOK
	if ready {
		if err := json.Unmarshal(raw, v); err != nil {
			return fmt.Errorf("read what %s%s answers: %w", at, v.Asked, err)
		}
	}
	if err := a.answer(v, v.print); err != nil {
		return err
	}
	return degraded(!v.OK)
}
