package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/compose-first/compose/internal/cgroup"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/internal/process"
)

const (
	// startPatience is how long logger and agent may take until they answer.
	startPatience = 60 * time.Second

	// revivePatience is how long the logger may take to bring the agent back
	// before it is taken to be stuck.
	revivePatience = 15 * time.Second

	// stopGrace is how long the logger has to end, its agent included.
	stopGrace = 15 * time.Second

	// ask is the pause between questions whether the agent answers.
	ask = 5 * time.Millisecond

	// maxDaemonLog is the size in bytes from which on the agent's own log is
	// begun anew, the old one kept beside it.
	maxDaemonLog = 4 << 20
)

// Ensure makes sure that the logger and the agent of root run, and in this
// version, which is to differ between builds: others are replaced. binary is the path of the compose binary.
// Commands that call it at once start one pair. After a boot it returns once
// the containers that a boot starts have been started.
func Ensure(ctx context.Context, root layout.Root, binary, version string) (*Client, error) {
	c := Find(root)
	if s, err := c.Status(ctx); err == nil && s.Version == version {
		return c, c.awaitBoot(ctx, s)
	}
	s, err := c.ensure(ctx, binary, version)
	if err != nil {
		return nil, err
	}
	return c, c.awaitBoot(ctx, s)
}

// ensure is Ensure for one command at a time.
func (c *Client) ensure(ctx context.Context, binary, version string) (Status, error) {
	turn, err := lock.Take(ctx, c.root.Lock("agent"), "compose agent", nil)
	if err != nil {
		return Status{}, fmt.Errorf("wait for the agent's start: %w", err)
	}
	defer turn.Release()
	s, err := c.revived(ctx)
	if err == nil && s.Version == version {
		return s, nil
	}
	// Until the next logger has the pipes open, this process has.
	held := newPipes(c.root)
	held.holdAll()
	defer held.close()
	if err := stopAll(ctx, c.root); err != nil {
		return Status{}, err
	}
	return startAll(ctx, c, binary)
}

// revived asks the agent, and waits for it while a logger runs that brings it back.
func (c *Client) revived(ctx context.Context) (Status, error) {
	deadline := time.Now().Add(revivePatience)
	for {
		s, err := c.Status(ctx)
		if err == nil {
			return s, nil
		}
		if _, _, runs := process.ReadFile(c.root.Pid("logger")); !runs || time.Now().After(deadline) {
			return Status{}, err
		}
		if err := pause(ctx, ask); err != nil {
			return Status{}, err
		}
	}
}

// awaitBoot waits until what a boot starts is started.
func (c *Client) awaitBoot(ctx context.Context, s Status) error {
	for s.Booting {
		if err := pause(ctx, bootLook); err != nil {
			return err
		}
		now, err := c.Status(ctx)
		if err != nil {
			if _, err := c.revived(ctx); err != nil {
				return err
			}
			continue
		}
		s = now
	}
	return nil
}

// startAll starts the logger, and waits until its agent answers.
func startAll(ctx context.Context, c *Client, binary string) (Status, error) {
	begin := logSize(c.root)
	exited, err := spawn(c.root, binary)
	if err != nil {
		return Status{}, fmt.Errorf("start the agent: %w", err)
	}
	deadline := time.Now().Add(startPatience)
	for {
		if s, err := c.Status(ctx); err == nil {
			return s, nil
		}
		select {
		case err := <-exited:
			return Status{}, fmt.Errorf("start the agent: it ended at once: %w%s", err, lastWords(c.root, begin))
		default:
		}
		if time.Now().After(deadline) {
			return Status{}, fmt.Errorf("start the agent: no answer within %v%s", startPatience, lastWords(c.root, begin))
		}
		if err := pause(ctx, ask); err != nil {
			return Status{}, err
		}
	}
}

// startLogger starts a logger that outlives this process.
func startLogger(root layout.Root, binary string) error {
	_, err := spawn(root, binary)
	return err
}

// spawn starts a logger in a session of its own, and tells when it ends for as
// long as this process lives.
func spawn(root layout.Root, binary string) (<-chan error, error) {
	log, err := openDaemonLog(root)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(existing(binary), "agent", "logger") // no context: it outlives the command
	cmd.Dir = "/"
	cmd.Env = daemonEnvironment(root)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cgroup.StartDaemon(cmd, root.Cgroup()); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err == nil {
			err = errors.New("without an error")
		}
		exited <- err
	}()
	return exited, nil
}

// passedOn is what the agent gets of the environment of whoever starts it,
// besides what is for compose. It outlives that command and its folders, and
// secrets of projects are not for it to keep.
var passedOn = []string{"PATH", "CONTAINERD_ADDRESS"}

// daemonEnvironment is the agent's, for the same engine, and without what only
// says that this process has a logger.
func daemonEnvironment(root layout.Root) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if name == supervisedVariable || name == layout.RootVariable {
			continue
		}
		if strings.HasPrefix(name, "COMPOSE_") || slices.Contains(passedOn, name) {
			env = append(env, kv)
		}
	}
	if root.Tag() != "" {
		env = append(env, layout.RootVariable+"="+filepath.Dir(root.State))
	}
	return env
}

// openDaemonLog opens the log that both processes share.
func openDaemonLog(root layout.Root) (*os.File, error) {
	path := root.DaemonLog("agent")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if logSize(root) > maxDaemonLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

func logSize(root layout.Root) int64 {
	info, err := os.Stat(root.DaemonLog("agent"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// lastWords is what the log has from an offset on, for an error.
func lastWords(root layout.Root, from int64) string {
	f, err := os.Open(root.DaemonLog("agent"))
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 2 << 10
	b, _ := io.ReadAll(io.NewSectionReader(f, max(from, logSize(root)-most), most))
	if len(b) == 0 {
		return ""
	}
	return "; its last words: " + strings.TrimSpace(string(b))
}

// stopAll ends logger and agent. The agent's pid counts too: its logger may
// have been killed.
func stopAll(ctx context.Context, root layout.Root) error {
	for _, name := range []string{"logger", "agent", "logger"} { // an agent may have started a logger meanwhile
		if p, _, runs := process.ReadFile(root.Pid(name)); runs {
			if err := p.End(ctx, stopGrace); err != nil {
				return fmt.Errorf("stop the %s: %w", name, err)
			}
		}
	}
	return nil
}
