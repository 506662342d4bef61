package engine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/compose-first/compose/internal/cgroup"
	"github.com/compose-first/compose/internal/process"
)

// A task is made by a program that containerd starts, and that starts the shim.
// When whoever asked for the task is killed meanwhile, containerd kills that
// program, closes its end of the pipe that the shim is about to log to, and
// removes the folder. A shim that comes to open the pipe only then waits for
// ever for a reader. Its socket accepts all the same: whoever comes to start
// the container again is sent to it, and so is whoever asks for the task then.

// Bounds of waiting for shims that will never serve.
const (
	stuckAfter    = time.Second           // a call for a task takes longer: look for them
	halfMadeLimit = 2 * time.Second       // containerd may take to give up on a start
	halfMadePause = 10 * time.Millisecond // between looks at it
	killLimit     = 5 * time.Second       // a killed shim may take to end
)

// shim is a process of the shim's program that serves this containerd.
type shim struct {
	process.Process
	id       string // of the container that it was started for
	starting bool   // it is the program that starts the shim
}

// freeCalls has shims that will never serve ended while a call for a task waits
// for its answer: that then fails as if the shim had ended, which it has.
func freeCalls(address string) grpc.UnaryClientInterceptor {
	looks := &looks{address: address}
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if !strings.HasPrefix(method, "/containerd.services.tasks.v1.Tasks/") || strings.HasSuffix(method, "/Wait") {
			return invoke(ctx, method, req, reply, cc, opts...)
		}
		answered := make(chan struct{})
		defer close(answered)
		defer time.AfterFunc(stuckAfter, func() { looks.until(ctx, answered) }).Stop()
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}

// looks are those of a client at the shims of its containerd. On a busy machine
// many calls wait at once: one look does for all.
type looks struct {
	address string
	mu      sync.Mutex // guards last
	last    time.Time
}

// until looks again and again while a call waits.
func (l *looks) until(ctx context.Context, answered <-chan struct{}) {
	for {
		l.endForsaken(ctx)
		select {
		case <-answered:
			return
		case <-time.After(stuckAfter):
		}
	}
}

// endForsaken ends shims whose folder was removed before they served.
func (l *looks) endForsaken(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.last) < stuckAfter {
		return
	}
	for _, s := range shims(l.address) {
		if !s.starting && s.forsaken() {
			s.end(ctx)
		}
	}
	l.last = time.Now()
}

// makingTask notes that a container's task is being made, until done.
func (c *Client) makingTask(id string) (done func(), err error) {
	path := filepath.Join(c.cfg.Root.Streams(id), streamsMaking)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, fmt.Errorf("note that the task is being made: %w", err)
	}
	return func() { _ = os.Remove(path) }, nil // a note too many costs a look
}

// endHalfMade ends what a starter of a container that was killed at it has left:
// the shim, of use to nobody as long as containerd does not know of it, whether
// it comes to serve or not, and what it has made of the run until then.
func (c *Client) endHalfMade(ctx context.Context, id string) {
	if !exists(filepath.Join(c.cfg.Root.Streams(id), streamsMaking)) {
		return
	}
	for deadline := time.Now().Add(halfMadeLimit); time.Now().Before(deadline) && ctx.Err() == nil; {
		useless, undecided := c.halfMade(id)
		if len(useless) == 0 && !undecided {
			break
		}
		for _, s := range useless {
			s.end(ctx)
		}
		time.Sleep(halfMadePause)
	}
	if t, err := c.getTask(ctx, id); err == nil && t == nil { // else it is a note too many
		c.endHalfMadeRun(ctx, id)
	}
}

// endHalfMadeRun ends the processes of a container without a task, one that
// waits for its start or has lost its runc, and takes away what runc knows of
// it. runc finds it no error that there is nothing.
func (c *Client) endHalfMadeRun(ctx context.Context, id string) {
	for _, p := range c.inCgroup(id) {
		_ = p.Kill(ctx, killLimit)
	}
	if c.cfg.RuncPath == "" {
		return
	}
	root := filepath.Join(c.cfg.Root.Runc(), Namespace) // Source: containerd, cmd/containerd-shim-runc-v2/process, NewRunc
	out, err := exec.CommandContext(ctx, c.cfg.RuncPath, "--root", root, "delete", "--force", id).CombinedOutput()
	slog.DebugContext(ctx, "delete the run that a killed starter left", "container", id, "error", err, "runc", string(out))
}

// inCgroup are the processes in a container's own control groups.
func (c *Client) inCgroup(id string) []process.Process {
	groups, _ := cgroup.Find(c.cgroup(id)) // the pattern is well formed
	var all []process.Process
	for _, group := range groups {
		for _, pid := range cgroup.Processes(group) {
			if p, runs := process.Of(pid); runs && !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// halfMade lists the shims of a container that are of use to nobody, and tells
// whether there may be more of them soon.
func (c *Client) halfMade(id string) (useless []shim, undecided bool) {
	own := slices.DeleteFunc(shims(c.cfg.Address), func(s shim) bool { return s.id != id })
	if len(own) == 0 {
		return nil, false
	}
	unnamed, making, err := c.unnamedShims()
	if err != nil {
		slog.Debug("look for shims that containerd does not know", "error", err)
	}
	for _, s := range own {
		switch {
		case s.starting: // containerd's to end
			undecided = true
		case !s.serves() || slices.Contains(unnamed, s):
			useless = append(useless, s)
		case making[id]: // it serves, and containerd has yet to learn of it or to give up
			undecided = true
		}
	}
	return useless, undecided
}

// shims lists the shims that serve the containerd at an address, or will. What
// has another view of the files means another containerd by the same address.
func shims(address string) []shim {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil
	}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
	var all []shim
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))) // the pattern has digits there
		p, runs := process.Of(pid)                                // before its words: those may be of the next with that pid
		line, err := os.ReadFile(file)
		if err != nil || !runs {
			continue
		}
		if s, ok := shimOf(strings.Split(string(line), "\x00"), strings.TrimPrefix(address, "unix://")); ok {
			s.Process = p
			if mounts, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns/mnt")); err == nil && mounts == own {
				all = append(all, s)
			}
		}
	}
	return all
}

// shimOf tells from a process's words whether it is a shim of a container of
// ours in the containerd at address.
// Source: containerd, pkg/shim, the flags of a shim.
func shimOf(words []string, address string) (shim, bool) {
	after := func(flag string) string {
		if i := slices.Index(words, flag); i >= 0 && i+1 < len(words) {
			return words[i+1]
		}
		return ""
	}
	if !strings.HasPrefix(filepath.Base(words[0]), "containerd-shim-") || after("-namespace") != Namespace || after("-address") != address {
		return shim{}, false
	}
	return shim{id: after("-id"), starting: slices.Contains(words, "start")}, true
}

// serves tells whether a shim has come as far as to log: its standard error is
// the pipe then, and was nothing before.
func (s shim) serves() bool {
	info, err := os.Stat(filepath.Join("/proc", strconv.Itoa(s.PID), "fd/2"))
	return err != nil || info.Mode()&os.ModeNamedPipe != 0
}

// forsaken tells whether a shim does not serve, and its folder is gone.
func (s shim) forsaken() bool {
	dir, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(s.PID), "cwd"))
	return err == nil && strings.HasSuffix(dir, " (deleted)") && !s.serves()
}

// end kills a shim of which containerd does not know. What it has started goes
// first: without it, that would run on unknown to anybody.
func (s shim) end(ctx context.Context) {
	for range 3 { // what a child has started becomes the shim's when that ends
		for _, child := range children(s.PID) {
			_ = child.Kill(ctx, killLimit)
		}
	}
	err := s.Kill(ctx, killLimit)
	slog.DebugContext(ctx, "end the shim that a killed starter left", "container", s.id, "pid", s.PID, "error", err)
}
