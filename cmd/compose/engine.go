package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/table"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/volumes"
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

// engineStop ends the agent, then the daemons, once no container runs.
func (a *app) engineStop(ctx context.Context, force bool) error {
	r, err := a.look(ctx)
	if err != nil {
		return err
	}
	if r.engine != nil {
		if err := a.endContainers(ctx, r, force); err != nil {
			return err
		}
	}
	if err := r.agent.Stop(ctx); err != nil {
		return fmt.Errorf("stop the agent: %w", err)
	}
	if err := cleanNetwork(ctx, r); err != nil {
		return err
	}
	if err := r.bundle.Stop(ctx); err != nil {
		return err
	}
	return volumes.OpenStore(r.root).Unmount()
}

// cleanNetwork takes away what the engine has put into the kernel and no
// container needs any more.
func cleanNetwork(ctx context.Context, r *rooms) error {
	h, err := netplan.NewHost(r.root)
	if err != nil {
		return fmt.Errorf("open the host's network: %w", err)
	}
	return h.Cleanup(ctx)
}

// endContainers stops what runs, or refuses to.
func (a *app) endContainers(ctx context.Context, r *rooms, force bool) error {
	containers, err := r.engine.Observe(ctx, "")
	if err != nil {
		return err
	}
	var running []engine.Container
	for _, c := range containers {
		if alive(c.State) {
			running = append(running, c)
		}
	}
	if len(running) > 0 && !force {
		return fmt.Errorf("%d containers are running, %s among them: stop them first, or use --force", len(running), running[0].Name)
	}
	for _, c := range running {
		if err := r.engine.Stop(ctx, c.ID, "", c.Record.StopGrace); err != nil {
			return fmt.Errorf("stop %s: %w", c.Name, err)
		}
	}
	return nil
}
