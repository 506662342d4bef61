package main

import (
	"github.com/spf13/cobra"

	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

func (a *app) restartCommand() *cobra.Command {
	var o scheduler.RestartOptions
	c := &cobra.Command{
		Use:   "restart [OPTIONS] [SERVICE...]",
		Short: "Stop and start containers, the same ones",
	}
	timeoutFlag(c)
	c.Flags().BoolVar(&o.NoDeps, "no-deps", false, "Leave dependents alone")
	c.RunE = func(cmd *cobra.Command, services []string) (err error) {
		if o.Timeout, err = seconds(cmd, "timeout"); err != nil {
			return err
		}
		o.Services = services
		return a.carryOut(cmd.Context(), change{
			operation: "restart", services: services, starts: true,
			plan: func(p *project.Project, live scheduler.Live) (scheduler.Plan, []scheduler.Warning, error) {
				return scheduler.Restart(p, live, o)
			},
		})
	}
	return c
}
