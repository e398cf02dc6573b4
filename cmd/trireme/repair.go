package main

import (
	"github.com/spf13/cobra"
)

const repairLong = `Watch and steer how hosts repair their documents.

Every host compares its documents with those of the other members of a stripe, every
30 s by default, and makes them equal: it pulls what it lacks, what is damaged, and
what most members have otherwise. It needs nobody for that. A host whose store the
log cannot bring up to date any more heals in the same way, stripe by stripe, while
it serves the others.

  trireme repair status        how far it is, what it skipped and why
  trireme verify               are all copies identical now?
  trireme doc explain S K      one document on every member, and who is right`

func (a *app) repairCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "repair", Short: "Watch and steer how hosts repair their documents", Long: repairLong,
		Example: `  trireme repair status --watch          until nothing heals any more
  trireme repair run --stripe s1         compare now
  trireme repair pause 2h                by itself over after two hours
  trireme repair rate 20MB               pull no more than that in a second
  trireme repair plan --host h2 --out plan.json`,
		Args: cobra.ArbitraryArgs, RunE: group,
	}
	c.AddCommand(
		a.repairStatusCommand(), a.repairRunCommand(), a.repairPauseCommand(), a.repairResumeCommand(), a.repairRateCommand(),
		a.repairPlanCommand(), a.repairApplyCommand(), a.repairStopCommand(),
	)
	return c
}
