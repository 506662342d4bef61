package main

import "github.com/spf13/cobra"

func (a *app) createCommand() *cobra.Command {
	o := upOptions{operation: "create", createOnly: true}
	c := &cobra.Command{
		Use:   "create [OPTIONS] [SERVICE...]",
		Short: "Create containers, and start none",
	}
	a.createFlags(c, &o)
	c.RunE = func(cmd *cobra.Command, services []string) error {
		if err := a.checkCreate(cmd, &o); err != nil {
			return err
		}
		o.plan.Services = services
		return a.up(cmd.Context(), o)
	}
	return c
}
