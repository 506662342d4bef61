package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/host"
	"github.com/compose-first/compose/internal/cgroup"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/scheduler"
)

// leaveReaper starts a process that removes a container when it ends: run -d
// has long returned by then.
func (a *app) leaveReaper(root layout.Root, ref scheduler.Ref) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	c := exec.Command(binary, "agent", "reap", ref.ID)
	if a.global.containerd != "" {
		c.Env = append(os.Environ(), "CONTAINERD_ADDRESS="+a.global.containerd)
	}
	c.Dir = "/"
	if err := cgroup.StartDaemon(c, root.Cgroup()); err != nil {
		return fmt.Errorf("start the remover of %s: %w", ref.Name, err)
	}
	return c.Process.Release()
}

// reapCommand waits for a container to end and removes it.
func (a *app) reapCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reap ID", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.reap(cmd.Context(), args[0]) },
	}
}

func (a *app) reap(ctx context.Context, id string) error {
	r, err := a.use(ctx)
	if err != nil {
		return err
	}
	c, err := r.engine.Inspect(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := r.engine.Wait(ctx, id); err != nil && !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	h := a.hostFor(r, nil, []engine.Container{c}, host.Options{})
	err = h.RemoveContainer(ctx, scheduler.Ref{Name: c.Name, ID: id}, true)
	if errors.Is(err, scheduler.ErrNotFound) {
		return nil
	}
	return err
}
