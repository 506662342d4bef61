package main

import (
	"github.com/spf13/cobra"

	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

func (a *app) stopCommand() *cobra.Command {
	var o scheduler.StopOptions
	c := &cobra.Command{
		Use:   "stop [OPTIONS] [SERVICE...]",
		Short: "Stop containers, and keep them",
	}
	timeoutFlag(c)
	c.RunE = func(cmd *cobra.Command, services []string) (err error) {
		if o.Timeout, err = seconds(cmd, "timeout"); err != nil {
			return err
		}
		o.Services = services
		return a.carryOut(cmd.Context(), change{
			operation: "stop", services: services,
			plan: func(p *project.Project, live scheduler.Live) (scheduler.Plan, []scheduler.Warning, error) {
				return scheduler.Stop(p, live, o)
			},
		})
	}
	return c
}
