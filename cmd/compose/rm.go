package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

func (a *app) rmCommand() *cobra.Command {
	var o scheduler.RemoveOptions
	var force bool
	c := &cobra.Command{
		Use:   "rm [OPTIONS] [SERVICE...]",
		Short: "Remove stopped containers",
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "Do not ask")
	c.Flags().BoolVarP(&o.Stop, "stop", "s", false, "Stop them first")
	c.Flags().BoolVarP(&o.Volumes, "volumes", "v", false, "Remove their anonymous volumes too")
	c.Flags().BoolP("all", "a", false, "")
	hide(c.Flags(), "all")
	c.RunE = func(cmd *cobra.Command, services []string) error {
		o.Services = services
		return a.carryOut(cmd.Context(), change{
			operation: "rm", services: services,
			plan: func(p *project.Project, live scheduler.Live) (scheduler.Plan, []scheduler.Warning, error) {
				return scheduler.Remove(p, live, o)
			},
			empty: func() { fmt.Fprintln(a.status(), "No stopped containers") },
			confirm: func(plan scheduler.Plan) (bool, error) {
				question := "Going to remove " + strings.Join(plan.Removals(), ", ")
				if force || a.global.dryRun {
					fmt.Fprintln(a.out, question)
					return true, nil
				}
				return a.ask(question)
			},
		})
	}
	return c
}
