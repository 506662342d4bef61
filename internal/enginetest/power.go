package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// CutPower does to the engine what a power cut does to a machine: every
// process of it and of its containers is gone at once, and so is all that the
// kernel held and all that was on a tmpfs. What is on the disk stays as it is.
func (e *Engine) CutPower(ctx context.Context) error {
	if err := e.killAll(ctx); err != nil {
		return err
	}
	if err := e.unmountRun(); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(e.Root, "run")); err != nil {
		return fmt.Errorf("remove run state: %w", err)
	}
	if err := e.DeleteBridges(); err != nil {
		return err
	}
	if err := e.DeleteTables(); err != nil {
		return err
	}
	return e.removeCgroups()
}

// killAll ends all processes, also those that others start while they die.
func (e *Engine) killAll(ctx context.Context) error {
	for deadline := time.Now().Add(settle); ; {
		var pids []int
		for _, p := range e.Processes() {
			pids = append(pids, p.PID)
		}
		pids = append(pids, e.Contained("")...)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v are still there", pids)
		}
		for _, pid := range pids { // all of them first: nobody is to notice another's end
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		for _, pid := range pids {
			if err := KillProcess(ctx, pid); err != nil {
				return err
			}
		}
	}
}

func (e *Engine) unmountRun() error {
	points, err := e.mountPoints("run")
	if err != nil {
		return err
	}
	for _, p := range slices.Backward(points) {
		if err := unix.Unmount(p, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", p, err)
		}
	}
	return nil
}

// DeleteBridges deletes the bridges of this engine's networks.
func (e *Engine) DeleteBridges() error {
	list, err := listLinks()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range list {
		if l.Type() == "bridge" && e.owns(l.Attrs()) {
			if err := netlink.LinkDel(l); err != nil {
				return fmt.Errorf("delete bridge %s: %w", l.Attrs().Name, err)
			}
		}
	}
	return nil
}

// DeleteTables deletes this engine's nftables tables.
func (e *Engine) DeleteTables() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	tables, err := e.ownTables(conn)
	if err != nil {
		return err
	}
	for _, t := range tables {
		conn.DelTable(t)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("delete nftables tables: %w", err)
	}
	return nil
}

// UnbindNamespaces takes away the files by which containers' network
// namespaces are found. The containers keep the namespaces themselves.
func (e *Engine) UnbindNamespaces() error {
	points, err := e.mountPoints("run/netns")
	if err != nil {
		return err
	}
	for _, p := range points {
		if err := unix.Unmount(p, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", p, err)
		}
		if err := os.Remove(p); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes the cgroups of containers that are gone, inner first.
func (e *Engine) removeCgroups() error {
	var dirs []string
	for _, top := range e.cgroupPaths() {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, dir := range slices.Backward(dirs) {
		if err := removeCgroup(dir); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroup removes a cgroup, which is busy until its last process is reaped.
func removeCgroup(dir string) error {
	for deadline := time.Now().Add(settle); ; time.Sleep(10 * time.Millisecond) {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
}
