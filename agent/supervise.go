package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/compose-first/compose/agent/logger"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/internal/process"
)

const (
	// The pause before the agent is started again: the first, and the longest,
	// to which it doubles while the agent dies at once.
	firstRevival = 20 * time.Millisecond
	lastRevival  = 5 * time.Second

	// atOnce is how long an agent lives that does not die at once.
	atOnce = 5 * time.Second

	// usefulRevival is the longest pause after one that had come as far as to
	// serve names: containers miss it.
	usefulRevival = 40 * time.Millisecond

	// handOver is how long an agent waits for the logger that takes over.
	handOver = 10 * time.Second

	// lookAgain is how often an agent looks whether somebody else has started
	// its logger.
	lookAgain = 100 * time.Millisecond

	// childGrace is how long the agent has to end before it is killed.
	childGrace = 10 * time.Second
)

// supervisedVariable tells the agent that it has a logger, whose end is its
// own business as its end is the logger's.
const supervisedVariable = "COMPOSE_AGENT_SUPERVISED"

// supervise is the logger process: the logger itself, and beside it the agent.
func supervise(ctx context.Context, root layout.Root, binary string) error {
	debug.SetGCPercent(heapGrowth)
	goFirst()
	turn, err := lock.Take(ctx, root.Lock("logger"), "compose agent logger", nil)
	if err != nil {
		return fmt.Errorf("wait for the logger before: %w", err)
	}
	defer turn.Release()
	if err := noteStage(root.Pid("logger"), stageStarting); err != nil {
		return err
	}
	ready := make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return logger.Run(ctx, logger.Config{Root: root, Log: slog.Default(), Ready: func() { close(ready) }})
	})
	g.Go(func() error {
		select {
		case <-ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := noteStage(root.Pid("logger"), stageReady); err != nil {
			return err
		}
		return keepAlive(ctx, root, binary)
	})
	g.Go(func() error { return returnMemory(ctx) })
	return g.Wait()
}

// precedence is the nice value of logger and agent together: what they do is
// little, and containers wait for it.
const precedence = "-10"

// goFirst lets this session go before others where the kernel groups processes
// by session. Unlike a nice value of the process, that of the group is not
// handed on to a containerd that the agent may have to start, and so not to
// containers. A kernel that groups otherwise has its own mind.
// Source: sched(7), the autogroup feature.
func goFirst() {
	if err := os.WriteFile("/proc/self/autogroup", []byte(precedence), 0); err != nil {
		slog.Debug("no precedence over other sessions", "error", err)
	}
}

// keepAlive starts the agent, and again whenever it ends, until ctx does. An
// agent of a logger before this one is kept.
func keepAlive(ctx context.Context, root layout.Root, binary string) error {
	if p, _, runs := process.ReadFile(root.Pid("agent")); runs {
		if err := adopt(ctx, p); err != nil {
			return err
		}
	}
	wait := firstRevival
	for {
		began := time.Now()
		err := runChild(ctx, binary)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		slog.Error("agent ended", "error", err)
		if time.Since(began) > atOnce {
			wait = firstRevival
		}
		limit := longestPause(root)
		if err := pause(ctx, min(wait, limit)); err != nil {
			return err
		}
		wait = min(2*wait, limit)
	}
}

// longestPause is that after the agent that was there last.
func longestPause(root layout.Root) time.Duration {
	if _, stage, _ := process.ReadFile(root.Pid("agent")); stage == stageReady {
		return usefulRevival
	}
	return lastRevival
}

// adopt waits until an agent ends that this process has not started; it is
// told to when ctx ends.
func adopt(ctx context.Context, p process.Process) error {
	err := p.Wait(ctx)
	if ctx.Err() == nil {
		slog.Error("agent ended", "error", err)
		return nil
	}
	if err := p.End(context.WithoutCancel(ctx), childGrace); err != nil {
		return fmt.Errorf("end the agent: %w", err)
	}
	return ctx.Err()
}

// runChild runs the agent until it ends; it is told to when ctx ends.
func runChild(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, existing(binary), "agent", "run")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = childGrace
	cmd.Env = append(os.Environ(), supervisedVariable+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// existing is a path that runs binary, or this program where binary is gone:
// whoever replaces a binary leaves what runs alone.
func existing(binary string) string {
	if _, err := os.Stat(binary); err != nil {
		return "/proc/self/exe"
	}
	return binary
}

// keepLogger starts another logger whenever the one that there was is gone,
// until ctx ends. It returns at once in an agent that has none.
func keepLogger(ctx context.Context, root layout.Root, log *slog.Logger) error {
	if os.Getenv(supervisedVariable) == "" {
		return nil
	}
	for ctx.Err() == nil {
		if p, _, runs := process.ReadFile(root.Pid("logger")); runs {
			if err := p.Wait(ctx); err != nil {
				return err
			}
		}
		if err := replaceLogger(ctx, root, log); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// replaceLogger starts a logger where none runs, and returns once that has the
// pipes of containers open. A command that starts or stops the agent sees to
// the logger itself: then there is nothing to do but to look again.
func replaceLogger(ctx context.Context, root layout.Root, log *slog.Logger) error {
	turn, err := lock.Try(root.Lock("agent"), "compose agent")
	if err != nil {
		return pause(ctx, lookAgain)
	}
	defer turn.Release()
	if _, _, runs := process.ReadFile(root.Pid("logger")); runs {
		return nil
	}
	log.Error("the logger is gone: starting another")
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	if err := startLogger(root, binary); err != nil {
		log.Error("start logger", "error", err)
		return pause(ctx, lastRevival)
	}
	for deadline := time.Now().Add(handOver); time.Now().Before(deadline); {
		if _, stage, runs := process.ReadFile(root.Pid("logger")); runs && stage == stageReady {
			return nil
		}
		if err := pause(ctx, ask); err != nil {
			return err
		}
	}
	return errors.New("the logger does not come up")
}
