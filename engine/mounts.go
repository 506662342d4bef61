package engine

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// defaultShmSize is the size of /dev/shm, in bytes.
// Source: Compose Specification, 05-services.md, shm_size: 64 MiB as in Docker.
const defaultShmSize = 64 << 20

// mounts sets the file systems: those every container has, its own files below
// /etc, and what the service mounts. What the service mounts over one of the
// others takes its place; outer ones come first.
func (b *specBuilder) mounts() error {
	taken := map[string]bool{}
	var own []specs.Mount
	for _, m := range b.Mounts {
		if !strings.HasPrefix(m.Target, "/") {
			return fmt.Errorf("mount target %q is not an absolute path", m.Target)
		}
		target := path.Clean(m.Target)
		taken[target] = true
		own = append(own, specs.Mount{Type: m.Type, Source: m.Source, Destination: target, Options: bindOptions(m)})
	}
	for _, f := range etcFiles(b.specInput) {
		if !taken[f.Destination] {
			own = append(own, f)
		}
	}
	sort.SliceStable(own, func(i, j int) bool {
		return strings.Count(own[i].Destination, "/") < strings.Count(own[j].Destination, "/")
	})
	var all []specs.Mount
	for _, m := range b.systemMounts() {
		if !taken[m.Destination] {
			all = append(all, m)
		}
	}
	b.spec.Mounts = append(all, own...)
	b.spec.Linux.RootfsPropagation = firstOf(b.Propagation, rootPropagation(own))
	return nil
}

// systemMounts are those of every container.
// Source: Docker, default mounts of the OCI spec.
func (b *specBuilder) systemMounts() []specs.Mount {
	readOnly := "ro"
	if b.Service.Privileged {
		readOnly = "rw"
	}
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", readOnly}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", readOnly}},
	}
	return append(mounts, b.ipcMounts()...)
}

// ipcMounts are the message queues and shared memory of the container's IPC
// namespace, its own or the one it joins. A mount of message queues shows those
// of the namespace that it is made in, also where the host has none itself.
func (b *specBuilder) ipcMounts() []specs.Mount {
	queue := specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}}
	switch {
	case b.Record.IPCMode == "host":
		return []specs.Mount{queue, {
			Destination: "/dev/shm", Type: "bind", Source: "/dev/shm", Options: []string{"rbind", "nosuid", "noexec", "nodev"},
		}}
	case joined(b.Record.IPCMode) != "":
		return []specs.Mount{queue, {
			Destination: "/dev/shm", Type: "bind", Source: b.root.SharedMemory(b.ID),
			Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev"},
		}}
	case b.Service.Ipc == "none":
		return []specs.Mount{queue}
	}
	size := int64(b.Service.ShmSize)
	if size <= 0 {
		size = defaultShmSize
	}
	return []specs.Mount{queue, {
		Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
		Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(size, 10)},
	}}
}

// bindOptions adds to a bind mount what runc needs to see that it is one, and
// keeps it private unless it says otherwise.
func bindOptions(m Mount) []string {
	options := slices.Clone(m.Options)
	if m.Type != "bind" {
		return options
	}
	if !slices.Contains(options, "bind") && !slices.Contains(options, "rbind") {
		options = append([]string{"rbind"}, options...)
	}
	if propagation(options) == "" {
		options = append(options, "rprivate")
	}
	return options
}

// propagation is the one among a mount's options, "" without any.
func propagation(options []string) string {
	for _, o := range options {
		switch o {
		case "private", "rprivate", "shared", "rshared", "slave", "rslave":
			return o
		}
	}
	return ""
}

// rootPropagation is what the root needs for its mounts to propagate as asked.
func rootPropagation(mounts []specs.Mount) string {
	root := ""
	for _, m := range mounts {
		switch propagation(m.Options) {
		case "shared", "rshared":
			return "rshared"
		case "slave", "rslave":
			root = "rslave"
		}
	}
	return root
}

// Where the init is in a container, as its process shows it.
// Source: Docker, --init.
const (
	initBinary = "compose-init"
	initTarget = "/sbin/docker-init"
)

// init puts a small init before the command of a service with init: true.
func (b *specBuilder) init() error {
	if b.Service.Init == nil || !*b.Service.Init {
		return nil
	}
	if !exists(b.initPath) {
		return fmt.Errorf("init: the engine's %s is not at %q", initBinary, b.initPath)
	}
	b.spec.Process.Args = append([]string{initTarget, "--"}, b.spec.Process.Args...)
	b.spec.Mounts = append(b.spec.Mounts, specs.Mount{
		Destination: initTarget, Type: "bind", Source: b.initPath, Options: []string{"bind", "ro", "rprivate"},
	})
	return nil
}
