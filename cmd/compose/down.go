package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

func (a *app) downCommand() *cobra.Command {
	var o scheduler.DownOptions
	c := &cobra.Command{
		Use:   "down [OPTIONS] [SERVICE...]",
		Short: "Stop and remove containers and networks",
		Long: `Stop and remove the containers of the project and then its networks.
Volumes stay, unless -v is given.`,
	}
	c.Flags().BoolVar(&o.RemoveOrphans, "remove-orphans", false, "Also containers of services that the file does not have")
	c.Flags().StringVar(&o.Images, "rmi", "", "Remove images: local (built here, without a name of their own) or all")
	c.Flags().BoolVarP(&o.Volumes, "volumes", "v", false, "Remove named volumes of the file and anonymous volumes")
	timeoutFlag(c)
	c.Flags().BoolVar(&o.Volumes, "volume", false, "")
	hide(c.Flags(), "volume")
	c.RunE = func(cmd *cobra.Command, services []string) (err error) {
		if o.Images != "" && o.Images != "all" && o.Images != "local" {
			return fmt.Errorf("invalid value for --rmi: %q", o.Images)
		}
		if o.Timeout, err = seconds(cmd, "timeout"); err != nil {
			return err
		}
		if !cmd.Flags().Changed("remove-orphans") {
			o.RemoveOrphans = truth(a.env.get("COMPOSE_REMOVE_ORPHANS"))
		}
		a.formerFlag(cmd, "volume", "volumes")
		o.Services = services
		return a.carryOut(cmd.Context(), change{
			operation: "down", services: services, reclaim: o.Images != "",
			plan: func(p *project.Project, live scheduler.Live) (scheduler.Plan, []scheduler.Warning, error) {
				return scheduler.Down(p, live, o)
			},
		})
	}
	return c
}
