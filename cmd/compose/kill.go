package main

import (
	"fmt"

	"github.com/moby/sys/signal"
	"github.com/spf13/cobra"

	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

func (a *app) killCommand() *cobra.Command {
	var o scheduler.KillOptions
	c := &cobra.Command{
		Use:   "kill [OPTIONS] [SERVICE...]",
		Short: "Send a signal to containers",
	}
	c.Flags().StringVarP(&o.Signal, "signal", "s", "SIGKILL", "Signal: a name, with or without SIG, or a number")
	c.Flags().BoolVar(&o.Orphans, "remove-orphans", false, "Also containers of services that the file does not have")
	c.RunE = func(cmd *cobra.Command, services []string) error {
		if _, err := signal.ParseSignal(o.Signal); err != nil {
			return fmt.Errorf("invalid signal: %s", o.Signal)
		}
		if !cmd.Flags().Changed("remove-orphans") {
			o.Orphans = truth(a.env.get("COMPOSE_REMOVE_ORPHANS"))
		}
		o.Services = services
		return a.carryOut(cmd.Context(), change{
			operation: "kill", services: services,
			unlocked: true, // it is what ends a stop that takes too long
			plan: func(p *project.Project, live scheduler.Live) (scheduler.Plan, []scheduler.Warning, error) {
				return scheduler.Kill(p, live, o)
			},
			empty: func() { fmt.Fprintln(a.status(), "No container to kill") },
		})
	}
	return c
}
