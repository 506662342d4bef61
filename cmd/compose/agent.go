package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/agent"
	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/host"
	"github.com/compose-first/compose/internal/bundle"
)

// agentCommand is how the supervisor's two processes are started; users have
// no need of it.
func (a *app) agentCommand() *cobra.Command {
	c := &cobra.Command{Use: "agent", Hidden: true, Args: noArgs}
	c.AddCommand(
		a.reapCommand(),
		&cobra.Command{
			Use: "logger", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.runLogger(cmd.Context()) },
		},
		&cobra.Command{
			Use: "run", Args: noArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.runAgent(cmd.Context()) },
		},
	)
	return c
}

func (a *app) runLogger(ctx context.Context) error {
	r, err := a.open()
	if err != nil {
		return err
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	a.daemonLog()
	return stopped(ctx, agent.Logger(ctx, r.root, binary))
}

func (a *app) runAgent(ctx context.Context) error {
	r, err := a.open()
	if err != nil {
		return err
	}
	a.daemonLog()
	cfg := agent.Config{
		Root: r.root, Version: identity(), Containerd: r.address(), Log: slog.Default(),
		Connect: func(ctx context.Context) (*engine.Client, error) {
			return connectEngine(ctx, r, r.address(), nil)
		},
		Start: func(ctx context.Context, eng *engine.Client, c engine.Container) error {
			m, err := host.New(host.Config{Engine: eng, Root: r.root, Ready: r.agent.Ready})
			if err != nil {
				return err
			}
			return m.Start(ctx, c)
		},
	}
	if r.bundle.Address == "" {
		cfg.EnsureEngine = func(ctx context.Context) error { return ensure(ctx, r.bundle) }
	}
	return stopped(ctx, agent.Run(ctx, cfg))
}

func ensure(ctx context.Context, b *bundle.Bundle) error {
	_, err := b.EnsureContainerd(ctx)
	return err
}

// daemonLog logs to standard error, which is the daemon's log.
func (a *app) daemonLog() {
	level := slog.LevelInfo
	if a.global.debug || os.Getenv("COMPOSE_AGENT_DEBUG") != "" {
		level = slog.LevelDebug
	}
	a.debugLog(level)
}

// stopped is nil when a daemon ended because it was told to.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
