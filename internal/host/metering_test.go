package host

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"trireme/internal/config"
	"trireme/ops"
)

// Three hosts that have nothing to repair tell what comparing costs them.
func TestCostsWhileHealthy(t *testing.T) {
	const rounds, interval = 5, 200 * time.Millisecond
	c := newTrio(t, func(cfg *config.Config) { cfg.Repair.Interval = interval })
	c.start(0, 1, 2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := c.client(0)
	for n := range 30 {
		if err := client.Initialize(ctx, "s", fmt.Sprint(n), first(n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range c.hosts {
		var before, after ops.Status
		eventually(t, h.Config.Host+" has compared healthy copies", func() bool {
			before = h.Status()
			return before.RepairCost != nil && before.RepairCost.Healthy.Rounds > 0
		})
		eventually(t, h.Config.Host+" has done so again and again", func() bool {
			after = h.Status()
			return after.RepairCost.Healthy.Rounds >= before.RepairCost.Healthy.Rounds+rounds
		})
		if after.RepairEveryMS != interval.Milliseconds() {
			t.Errorf("%s tells of rounds every %d ms", h.Config.Host, after.RepairEveryMS)
		}
		told := metricsOf(t, h)
		for name, is := range map[string][3]float64{ // metric: before it was asked, and the bounds of one round
			"rounds_total":         {float64(after.RepairCost.Healthy.Rounds), 1, 1},
			"sent_bytes_total":     {float64(after.RepairCost.Healthy.Sent), 100, 20_000},
			"received_bytes_total": {float64(after.RepairCost.Healthy.Received), 100, 20_000},
			"disk_reads_total":     {float64(after.RepairCost.Healthy.DiskReads), 0, 0},
			"cpu_seconds_total":    {after.RepairCost.Healthy.CPUSeconds, 1e-6, 1},
		} {
			value, ok := told["trireme_repair_healthy_"+name]
			n := told["trireme_repair_healthy_rounds_total"]
			if !ok || value < is[0] || value < is[1]*n || value > is[2]*n {
				t.Errorf("%s: trireme_repair_healthy_%s is %v (told: %v) after %v rounds, want at least %v, and %v to %v for each",
					h.Config.Host, name, value, ok, n, is[0], is[1], is[2])
			}
			if all, ok := told["trireme_repair_"+name]; !ok || all < value {
				t.Errorf("%s: trireme_repair_%s is %v (told: %v), %v of it while healthy", h.Config.Host, name, all, ok, value)
			}
		}
	}
}

var metricLine = regexp.MustCompile(`(?m)^([a-z_]+) (\S+)$`)

// metricsOf are the metrics of a host that have no labels.
func metricsOf(t *testing.T, h *Host) map[string]float64 {
	t.Helper()
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	reply, err := client.Get(h.HTTP() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]float64{}
	for _, m := range metricLine.FindAllSubmatch(text, -1) {
		if told[string(m[1])], err = strconv.ParseFloat(string(m[2]), 64); err != nil {
			t.Fatal(err)
		}
	}
	return told
}
