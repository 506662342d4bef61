package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/process"
)

// A shim ends with its last container. One that is still there serves nobody
// when it listens on a socket that no task's folder names, no task is being made
// that it was started for, and it has no process to look after: containerd, which
// finds shims by those folders, will never ask it for anything again.

// idleLimit is how long a shim that serves nobody may take to end by itself,
// and then to end when it is told to.
const idleLimit = 3 * time.Second

// IdleShim is a shim that serves no container.
type IdleShim struct {
	process.Process
	ID string // of the container that it was started for
}

// IdleShims lists them. Of a containerd that is not the engine's own it knows
// none.
func (c *Client) IdleShims(ctx context.Context) ([]IdleShim, error) {
	idle, err := c.idleShims()
	if err != nil || len(idle) == 0 {
		return nil, err
	}
	// One that is just ending, with its container gone, does so by itself; one
	// that another container has come to meanwhile is in use when looked at again.
	limited, cancel := context.WithTimeout(ctx, idleLimit)
	defer cancel()
	for _, s := range idle {
		if err := s.Wait(limited); err != nil && limited.Err() == nil {
			return nil, fmt.Errorf("shim of %s: %w", short(s.ID), err)
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	again, err := c.idleShims()
	return slices.DeleteFunc(again, func(s IdleShim) bool { return !slices.Contains(idle, s) }), err
}

// EndIdleShim ends one, if it still serves no container.
func (c *Client) EndIdleShim(ctx context.Context, s IdleShim) error {
	idle, err := c.idleShims()
	if err != nil || !slices.Contains(idle, s) {
		return err
	}
	if err := s.End(ctx, idleLimit); err != nil {
		return fmt.Errorf("end shim of %s: %w", short(s.ID), err)
	}
	return nil
}

// idleShims lists the shims that serve no container at this moment.
func (c *Client) idleShims() ([]IdleShim, error) {
	unnamed, _, err := c.unnamedShims()
	if err != nil {
		return nil, err
	}
	var idle []IdleShim
	for _, s := range unnamed {
		if len(children(s.PID)) == 0 && s.Alive() {
			idle = append(idle, IdleShim{Process: s.Process, ID: s.id})
		}
	}
	return idle, nil
}

// unnamedShims lists the shims that the folder of no task names, nor will, and
// the tasks that are being made. The shims are looked at first: the folder of a
// task is there before its shim. Of a containerd that is not the engine's own
// it knows nothing.
func (c *Client) unnamedShims() (unnamed []shim, making map[string]bool, err error) {
	if !c.own() {
		return nil, nil, nil
	}
	all := slices.DeleteFunc(shims(c.cfg.Address), func(s shim) bool { return s.starting })
	held := make([][]string, len(all))
	for i, s := range all {
		held[i] = sockets(s.PID)
	}
	named, making, err := c.taskSockets()
	if err != nil {
		return nil, nil, err
	}
	for i, s := range all {
		if len(held[i]) == 0 { // it ends, or what it holds cannot be seen from here
			continue
		}
		if !making[s.id] && !slices.ContainsFunc(held[i], func(path string) bool { return named[path] }) {
			unnamed = append(unnamed, s)
		}
	}
	return unnamed, making, nil
}

// taskSockets are the sockets of shims that the folders of tasks name, and the
// tasks whose folders do not name one yet. A folder with a dot in front of its
// name is being deleted: it names nothing any more.
// Source: containerd, core/runtime/v2: a folder a task, with bootstrap.json once
// the shim has been asked.
func (c *Client) taskSockets() (named, making map[string]bool, err error) {
	dir := c.taskFolders()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("look at tasks: %w", err)
	}
	named, making = map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name(), "bootstrap.json"))
		var bootstrap struct{ Address string }
		if err != nil || json.Unmarshal(text, &bootstrap) != nil || bootstrap.Address == "" {
			making[e.Name()] = true
			continue
		}
		named[strings.TrimPrefix(bootstrap.Address, "unix://")] = true
	}
	return named, making, nil
}

// sockets are the paths of a process's unix sockets. The kernel is asked for
// each: its list of all, /proc/net/unix, may lack some while others come and go.
func sockets(pid int) []string {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil // it has ended
	}
	defer unix.Close(fd)
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, _ := os.ReadDir(dir)
	var all []string
	for _, e := range entries {
		if target, _ := os.Readlink(filepath.Join(dir, e.Name())); !strings.HasPrefix(target, "socket:") {
			continue
		}
		number, _ := strconv.Atoi(e.Name()) // the kernel writes numbers
		socket, err := unix.PidfdGetfd(fd, number, 0)
		if err != nil {
			continue
		}
		name, _ := unix.Getsockname(socket)
		unix.Close(socket)
		if at, ok := name.(*unix.SockaddrUnix); ok && at.Name != "" {
			all = append(all, at.Name)
		}
	}
	return all
}

// children are the processes that a process has started.
func children(pid int) []process.Process {
	var all []process.Process
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is well formed
	for _, dir := range dirs {
		child, _ := strconv.Atoi(filepath.Base(dir)) // it has digits there
		if p, runs := process.Of(child); runs && process.Parent(child) == pid {
			all = append(all, p)
		}
	}
	return all
}
