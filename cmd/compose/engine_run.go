package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/internal/systemd"
)

func (a *app) engineRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Start the engine and watch over it, for a service manager",
		Long: `Start the engine and watch over it, for a service manager.

It takes over an engine that runs, and starts daemons anew that do not answer or
whose program has been replaced. systemd is told once every container that is to
be back is back, and from then on, for its watchdog, that the engine answers.

Told to end, it leaves the engine and its containers running; only when systemd
is shutting the machine down are the containers stopped first, in order, and
then the engine. It ends by itself, with exit code 3, after "compose engine
stop".`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.engineRun(cmd.Context()) },
	}
}

// engineRun is nil when it was told to end: a service that does so has not
// failed.
func (a *app) engineRun(ctx context.Context) error {
	a.daemonLog()
	r, err := a.open()
	if err != nil {
		return err
	}
	interval, err := systemd.WatchdogInterval()
	if err != nil {
		return err
	}
	if err := r.bundle.Renew(ctx); err != nil {
		return stopped(ctx, err)
	}
	if r, err = a.startUp(ctx); err != nil {
		return stopped(ctx, err)
	}
	if err := systemd.Ready(); err != nil {
		return err
	}
	if err := watch(ctx, r, interval); err != nil {
		return err
	}
	return a.leave(context.WithoutCancel(ctx), r)
}

// watchInterval is how often the engine is looked at without a watchdog, which
// wants to hear of it three times in its interval.
const watchInterval = 20 * time.Second

// stopGlance is how often it is looked whether the engine was stopped by hand:
// whoever has done so may start the service at once.
const stopGlance = time.Second

// watch tells systemd's watchdog that the engine is well for as long as it is.
// It returns nil when ctx ends.
func watch(ctx context.Context, r *rooms, watchdog time.Duration) error {
	interval := watchInterval
	if watchdog > 0 {
		interval = watchdog / 3
	}
	ask, glance := time.NewTicker(interval), time.NewTicker(stopGlance)
	defer ask.Stop()
	defer glance.Stop()
	for {
		if r.agent.Stopped() {
			slog.Info("the engine was stopped by hand")
			return &exitError{code: systemd.ExitStopped}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-glance.C:
		case <-ask.C:
			if err := tell(ctx, r, interval); err != nil {
				return err
			}
		}
	}
}

// tell asks the engine once, and tells systemd whether it answers.
func tell(ctx context.Context, r *rooms, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := r.agent.Alive(limited)
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil:
		return systemd.Well()
	}
	slog.Error("the engine does not answer", "error", err)
	return systemd.Status(fmt.Sprintf("the engine does not answer: %v", err))
}

// leave stops the containers and the engine when the machine is about to stop,
// so that their disk can be unmounted, and else leaves everything as it is.
func (a *app) leave(ctx context.Context, r *rooms) error {
	if err := systemd.Ending(); err != nil {
		return err
	}
	if !systemd.Booted() || !systemd.Stopping(ctx) {
		return nil
	}
	if err := endContainers(ctx, r); err != nil {
		return err
	}
	return endDaemons(ctx, r)
}
