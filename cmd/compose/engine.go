package main

import (
	"context"
	"encoding/json"
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
	var format string
	status := &cobra.Command{
		Use:   "status [OPTIONS]",
		Short: "Show what runs",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.engineStatus(cmd.Context(), format) },
	}
	status.Flags().StringVar(&format, "format", "table", "table or json")
	stop := &cobra.Command{
		Use:   "stop [OPTIONS]",
		Short: "Stop the engine; refused while containers run",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.engineStop(cmd.Context(), force) },
	}
	stop.Flags().BoolVarP(&force, "force", "f", false, "Stop running containers first")
	c.AddCommand(
		status,
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

// daemonStatus is a daemon as engine status --format json prints it. What does
// not run has no PID and no version.
type daemonStatus struct {
	Daemon  string
	Running bool
	PID     int    `json:",omitempty"`
	Version string `json:",omitempty"` // the agent's with its build
	Socket  string
}

func (a *app) engineStatus(ctx context.Context, format string) error {
	if format != "table" && format != "json" {
		return badFormat(format)
	}
	r, err := a.open()
	if err != nil {
		return err
	}
	var daemons []daemonStatus
	for _, d := range r.bundle.Status(ctx) {
		daemons = append(daemons, daemonStatus{d.Name, d.Running, d.PID, d.Version, d.Socket})
	}
	s, err := r.agent.Status(ctx)
	daemons = append(daemons, daemonStatus{"agent", err == nil, s.PID, s.Version, r.root.AgentSocket()})
	if format == "json" {
		return json.NewEncoder(a.out).Encode(struct {
			Daemons []daemonStatus
			State   string
		}{daemons, r.root.State})
	}
	var rows [][]string
	for _, d := range daemons {
		rows = append(rows, d.row())
	}
	if err := table.WriteText(a.out, []string{"DAEMON", "STATUS", "PID", "VERSION", "SOCKET"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "\nstate: %s\n", r.root.State)
	return nil
}

func (d daemonStatus) row() []string {
	row := []string{d.Daemon, "stopped", "", d.Version, d.Socket}
	if d.Running {
		row[1] = "running"
	}
	if d.PID > 0 {
		row[2] = strconv.Itoa(d.PID)
	}
	return row
}
