package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/thread"
)

// trySysctls returns the first of a service's kernel settings that a container
// cannot be given. The kernel alone knows, so they are set, in namespaces that nobody
// else is in and that are gone when it returns. Where there can be none, and
// with settings whose module may not be loaded yet, the container's start tells.
func trySysctls(settings map[string]string) error {
	if len(settings) == 0 {
		return nil
	}
	var refused error
	thread.Apart(func() {
		if err := unix.Unshare(settingNamespaces); err != nil {
			slog.Debug("kernel settings are not tried", "error", err)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			if refused = trySysctl(name, settings[name]); refused != nil {
				return
			}
		}
	})
	return refused
}

// settingNamespaces are those that a container's kernel settings belong to.
// Source: runc, libcontainer/configs/validate.
const settingNamespaces = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// trySysctl sets one for the calling thread's namespaces.
func trySysctl(name, value string) error {
	fd, err := unix.Open(sysctlPath(name), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(fd, []byte(value))
		unix.Close(fd)
	}
	switch {
	case errors.Is(err, unix.ENOENT) && !fromModule(name):
		return fmt.Errorf("sysctls: %s: this kernel has no such setting: correct the name, or leave it out", name)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("sysctls: %s: this kernel lets no container change it: set it on the host, and leave it out here", name)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return fmt.Errorf("sysctls: %s: the kernel refuses the value %q", name, value)
	}
	return nil
}

// sysctlPath is the file of a setting. Those of one interface, which a new
// namespace does not have yet, stand for those of any.
// Source of the names: Linux, Documentation/networking/ip-sysctl.rst.
func sysctlPath(name string) string {
	parts := strings.Split(strings.ReplaceAll(name, ".", "/"), "/")
	if len(parts) == 5 && parts[0] == "net" && (parts[2] == "conf" || parts[2] == "neigh") && parts[3] != "all" {
		parts[3] = "default"
	}
	return filepath.Join("/proc/sys", filepath.Join(parts...))
}

// fromModule reports whether a setting comes with what a container's network
// has the kernel load.
func fromModule(name string) bool {
	name = strings.ReplaceAll(name, "/", ".")
	return strings.HasPrefix(name, "net.bridge.") || strings.Contains(name, ".netfilter.")
}
