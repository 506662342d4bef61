package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/internal/table"
)

func (a *app) engineCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "engine COMMAND",
		Short: "The private engine: containerd, BuildKit and the agent",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var force bool
	stop := &cobra.Command{
		Use:   "stop [OPTIONS]",
		Short: "Stop the engine; refused while containers run",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.engineStop(cmd.Context(), force) },
	}
	stop.Flags().BoolVarP(&force, "force", "f", false, "Stop running containers first")
	c.AddCommand(
		&cobra.Command{
			Use: "status", Short: "Show what runs", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.engineStatus(cmd.Context()) },
		},
		&cobra.Command{
			Use: "start", Short: "Start the engine", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := a.startUp(cmd.Context())
				return err
			},
		},
		stop,
		a.engineRunCommand(),
		a.engineInstallCommand(),
		a.engineUninstallCommand(),
	)
	return c
}

func (a *app) engineStatus(ctx context.Context) error {
	r, err := a.open()
	if err != nil {
		return err
	}
	var rows [][]string
	for _, d := range r.bundle.Status(ctx) {
		rows = append(rows, daemonRow(d.Name, d.Running, d.PID, d.Version, d.Socket))
	}
	version, err := r.agent.Version(ctx)
	rows = append(rows, daemonRow("agent", err == nil, 0, version, r.root.AgentSocket()))
	if err := table.WriteText(a.out, []string{"DAEMON", "STATUS", "PID", "VERSION", "SOCKET"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "\nstate: %s\n", r.root.State)
	return nil
}

func daemonRow(name string, running bool, pid int, version, socket string) []string {
	row := []string{name, "stopped", "", version, socket}
	if running {
		row[1] = "running"
	}
	if pid > 0 {
		row[2] = strconv.Itoa(pid)
	}
	return row
}
