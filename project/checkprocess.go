package project

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/sys/signal"
)

// checkLife checks what a container starts with, and how it is restarted and stopped.
func (l *loading) checkLife(s types.ServiceConfig) error {
	if _, err := parseRestart(s.Restart); err != nil {
		return l.fail(s.Name, "restart", "%v", err)
	}
	if s.StopSignal != "" && !strings.Contains(s.StopSignal, "\x00") {
		if _, err := signal.ParseSignal(s.StopSignal); err != nil {
			return l.fail(s.Name, "stop_signal", "unknown signal %q", s.StopSignal)
		}
	}
	if s.StopGracePeriod != nil && *s.StopGracePeriod < 0 {
		return l.fail(s.Name, "stop_grace_period", "must not be negative")
	}
	if s.WorkingDir != "" && !path.IsAbs(s.WorkingDir) {
		return l.fail(s.Name, "working_dir", "%q is not an absolute path", s.WorkingDir)
	}
	if _, set := s.Environment[""]; set {
		return l.fail(s.Name, "environment", "a variable without a name")
	}
	return nil
}

// parseRestart reads "no", "always", "unless-stopped" or "on-failure[:N]"; ""
// is "no".
func parseRestart(s string) (Restart, error) {
	name, limit, bounded := strings.Cut(s, ":")
	switch {
	case s == "" || s == RestartNo:
		return Restart{Name: RestartNo}, nil
	case s == RestartAlways || s == RestartUnlessStopped || s == RestartOnFailure:
		return Restart{Name: s}, nil
	case name == RestartOnFailure && bounded:
		n, err := strconv.ParseUint(limit, 10, 31)
		if err != nil {
			return Restart{}, fmt.Errorf("invalid number of restarts %q", limit)
		}
		return Restart{Name: name, Max: int(n)}, nil
	}
	return Restart{}, fmt.Errorf("unknown restart policy %q", s)
}

func (l *loading) checkHealth(s types.ServiceConfig) error {
	h := s.HealthCheck
	if h == nil {
		return nil
	}
	if len(h.Test) > 0 {
		switch h.Test[0] {
		case "NONE":
		case "CMD", "CMD-SHELL":
			if len(h.Test) < 2 {
				return l.fail(s.Name, "healthcheck.test", "%s needs a command", h.Test[0])
			}
		default:
			return l.failAs(fmt.Sprintf(`service %q: healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"`, s.Name), s.Name, "healthcheck.test")
		}
	}
	for _, d := range []struct {
		key   string
		value *types.Duration
	}{{"interval", h.Interval}, {"timeout", h.Timeout}, {"start_period", h.StartPeriod}, {"start_interval", h.StartInterval}} {
		if d.value != nil && *d.value < 0 {
			return l.fail(s.Name, "healthcheck."+d.key, "must not be negative")
		}
	}
	if h.StartInterval != nil && h.StartPeriod == nil {
		return l.fail(s.Name, "healthcheck.start_interval", "requires healthcheck.start_period to be set")
	}
	return nil
}

func (l *loading) checkPrivileges(s types.ServiceConfig) error {
	for _, list := range []struct {
		key  string
		caps []string
	}{{"cap_add", s.CapAdd}, {"cap_drop", s.CapDrop}} {
		for i, c := range list.caps {
			if !knownCapability(c) {
				return l.fail(s.Name, fmt.Sprintf("%s[%d]", list.key, i), "unknown capability %q", c)
			}
		}
	}
	for i, d := range s.Devices {
		key := fmt.Sprintf("devices[%d]", i)
		cdi := strings.Contains(d.Source, "=")
		switch {
		case d.Source == "":
			return l.fail(s.Name, key, "names no device: write its path on the host, as /dev/null")
		case !path.IsAbs(d.Source) && !cdi:
			return l.fail(s.Name, key, "%q is not an absolute path", d.Source)
		case d.Target != "" && !path.IsAbs(d.Target) && !cdi:
			return l.fail(s.Name, key, "target %q is not an absolute path", d.Target)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sysctls)) {
		key := "sysctls." + name
		if !namespacedSysctl(name) {
			return l.fail(s.Name, key, "%q is not namespaced: it would change the host", name)
		}
		switch {
		case strings.HasPrefix(name, "net.") && s.NetworkMode == "host":
			return l.fail(s.Name, key, "cannot be set with network_mode: host")
		case !strings.HasPrefix(name, "net.") && name != "kernel.domainname" && s.Ipc == "host":
			return l.fail(s.Name, key, "cannot be set with ipc: host")
		}
	}
	return nil
}

// capabilities are those of Linux.
// Source: capabilities(7).
var capabilities = []string{
	"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
	"DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
	"LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG",
	"SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE",
	"SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
}

func knownCapability(name string) bool {
	name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
	return name == "ALL" || slices.Contains(capabilities, name)
}

// namespacedSysctl reports whether a kernel setting belongs to a namespace
// that a container can have of its own.
// Source: runc, libcontainer/configs/validate.
func namespacedSysctl(name string) bool {
	name = strings.ReplaceAll(name, "/", ".")
	for _, prefix := range []string{"net.", "fs.mqueue.", "kernel.msg", "kernel.shm"} {
		if strings.HasPrefix(name, prefix) && !strings.Contains(name, "..") {
			return true
		}
	}
	return name == "kernel.sem" || name == "kernel.domainname"
}
