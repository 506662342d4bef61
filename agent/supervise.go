package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/compose-first/compose/agent/logger"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
)

const (
	// The pause before the agent is started again: the first, and the longest,
	// to which it doubles while the agent dies at once.
	firstRevival = 20 * time.Millisecond
	lastRevival  = 5 * time.Second

	// atOnce is how long an agent lives that does not die at once.
	atOnce = 5 * time.Second

	// handOver is how long an agent waits for the logger that takes over.
	handOver = 10 * time.Second

	// childGrace is how long the agent has to end before it is killed.
	childGrace = 10 * time.Second
)

// supervisedVariable tells the agent that descriptor 3 is a pipe whose other
// end only its logger has: it comes to its end when the logger dies.
const supervisedVariable = "COMPOSE_AGENT_SUPERVISED"

// errOrphaned ends an agent whose logger has died.
var errOrphaned = errors.New("the logger is gone")

// supervise is the logger process: the logger itself, and beside it the agent.
func supervise(ctx context.Context, root layout.Root, binary string) error {
	tuneMemory(loggerMemory)
	turn, err := lock.Take(ctx, root.Lock("logger"), "compose agent logger", nil)
	if err != nil {
		return fmt.Errorf("wait for the logger before: %w", err)
	}
	defer turn.Release()
	if err := writePid(root.Pid("logger"), stageStarting); err != nil {
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
		if err := writePid(root.Pid("logger"), stageReady); err != nil {
			return err
		}
		return keepAlive(ctx, binary)
	})
	g.Go(func() error { return returnMemory(ctx) })
	return g.Wait()
}

// keepAlive starts the agent, and again whenever it ends, until ctx does.
func keepAlive(ctx context.Context, binary string) error {
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
		if err := pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, lastRevival)
	}
}

// runChild runs the agent until it ends; it is told to when ctx ends.
func runChild(ctx context.Context, binary string) error {
	alive, held, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer held.Close()
	cmd := exec.CommandContext(ctx, existing(binary), "agent", "run")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = childGrace
	cmd.Env = append(os.Environ(), supervisedVariable+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{alive}
	err = cmd.Start()
	alive.Close()
	if err != nil {
		return fmt.Errorf("start agent: %w", err)
	}
	return cmd.Wait()
}

// existing is a path that runs binary, or this program where binary is gone:
// whoever replaces a binary leaves what runs alone.
func existing(binary string) string {
	if _, err := os.Stat(binary); err != nil {
		return "/proc/self/exe"
	}
	return binary
}

// orphaned returns errOrphaned, with another logger started, once the one that
// started this agent is gone. It returns at once in an agent that has none.
func orphaned(ctx context.Context, root layout.Root, log *slog.Logger) error {
	if os.Getenv(supervisedVariable) == "" {
		return nil
	}
	const inherited = 3                                          // the first of exec.Cmd's ExtraFiles
	if err := syscall.SetNonblock(inherited, true); err != nil { // or Close would not end a Read
		return fmt.Errorf("watch the logger: %w", err)
	}
	alive := os.NewFile(inherited, "logger")
	stop := context.AfterFunc(ctx, func() { alive.Close() })
	defer stop()
	_, _ = io.Copy(io.Discard, alive)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// A command that starts or stops the agent has this lock, and sees to it
	// itself that there is a logger, or that there is none.
	now, cancel := context.WithCancel(ctx)
	cancel() // had at once or not at all
	turn, err := lock.Take(now, root.Lock("agent"), "compose agent", nil)
	if err != nil {
		return errOrphaned
	}
	defer turn.Release()
	log.Error("the logger is gone: starting another")
	binary, err := os.Executable()
	if err != nil {
		return errors.Join(errOrphaned, err)
	}
	if err := startLogger(root, binary); err != nil {
		return fmt.Errorf("start logger: %w", err)
	}
	// Until the other has the pipes of containers open, this process has.
	for deadline := time.Now().Add(handOver); time.Now().Before(deadline); {
		if _, stage, runs := readStage(root.Pid("logger")); runs && stage == stageReady {
			break
		}
		if err := pause(ctx, ask); err != nil {
			return err
		}
	}
	return errOrphaned
}
