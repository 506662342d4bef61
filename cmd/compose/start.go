package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

func (a *app) startCommand() *cobra.Command {
	var o scheduler.StartOptions
	var wait int
	c := &cobra.Command{
		Use:   "start [OPTIONS] [SERVICE...]",
		Short: "Start containers that exist",
	}
	c.Flags().BoolVar(&o.Wait, "wait", false, "Wait until they run, and are healthy where they have a check")
	c.Flags().IntVar(&wait, "wait-timeout", 0, "Longest wait, in seconds; 0 is no limit")
	c.RunE = func(cmd *cobra.Command, services []string) error {
		o.Services = services
		return withWait(cmd.Context(), wait, func(ctx context.Context) error {
			return a.carryOut(ctx, change{
				operation: "start", services: services, starts: true,
				plan: func(p *project.Project, live scheduler.Live) (scheduler.Plan, []scheduler.Warning, error) {
					return scheduler.Start(p, live, o)
				},
			})
		})
	}
	return c
}
