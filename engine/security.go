package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/compose-first/compose/internal/apparmor"
	"github.com/compose-first/compose/project"
)

// defaultCaps are the capabilities of a container: CapEff 00000000a80425fb.
// Source: Docker, oci/caps/defaults.go.
var defaultCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// maskedPaths cannot be read by a container, nor what the host has of
// thermal_throttle; readonlyPaths cannot be written.
// Source: Docker, oci/defaults.go.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// capabilities sets those of the service: the defaults, all for a privileged
// one, and what cap_add and cap_drop make of them.
func (b *specBuilder) capabilities() error {
	set, err := b.capabilitySet()
	if err != nil {
		return err
	}
	b.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: set, Effective: set, Permitted: set}
	return nil
}

func (b *specBuilder) capabilitySet() ([]string, error) {
	add, err := capabilityNames("cap_add", b.Service.CapAdd)
	if err != nil {
		return nil, err
	}
	drop, err := capabilityNames("cap_drop", b.Service.CapDrop)
	if err != nil {
		return nil, err
	}
	base := defaultCaps
	switch {
	case b.Service.Privileged, slices.Contains(add, allCaps):
		base = b.host.Caps
	case slices.Contains(drop, allCaps):
		base = nil
	}
	var set []string
	for _, c := range base {
		if !slices.Contains(drop, c) && slices.Contains(b.host.Caps, c) {
			set = append(set, c)
		}
	}
	for _, c := range add {
		if c == allCaps || slices.Contains(set, c) {
			continue
		}
		if !slices.Contains(b.host.Caps, c) {
			return nil, fmt.Errorf("cap_add: the engine itself does not have %s", c)
		}
		set = append(set, c)
	}
	return set, nil
}

// allCaps stands for every capability in cap_add and cap_drop.
const allCaps = "ALL"

// capabilityNames brings names to the kernel's form, "CAP_NET_ADMIN".
func capabilityNames(key string, names []string) ([]string, error) {
	var all []string
	for _, name := range names {
		n := strings.ToUpper(strings.TrimSpace(name))
		if n == allCaps {
			all = append(all, allCaps)
			continue
		}
		if !strings.HasPrefix(n, "CAP_") {
			n = "CAP_" + n
		}
		if !slices.Contains(cap.Known(), n) {
			return nil, fmt.Errorf("%s: %q is no capability of Linux", key, name)
		}
		all = append(all, n)
	}
	return all, nil
}

// securityOptions are the entries of security_opt.
type securityOptions struct {
	noNewPrivileges bool
	seccomp         string // "": default profile; "unconfined"; path of a profile
	apparmor        string // "": default; "unconfined"; name of a profile
	openPaths       bool   // systempaths=unconfined
	label           labelOptions
}

// parseSecurityOptions reads security_opt; "=" and ":" both separate.
func parseSecurityOptions(entries []string) (securityOptions, error) {
	var o securityOptions
	for _, entry := range entries {
		key, value, separated := entry, "", false
		if i := strings.IndexAny(entry, "=:"); i >= 0 {
			key, value, separated = entry[:i], entry[i+1:], true
		}
		bad := fmt.Errorf("security_opt: %q is not understood", entry)
		switch key {
		case "no-new-privileges":
			if separated && value != "true" && value != "false" {
				return o, bad
			}
			o.noNewPrivileges = value != "false"
		case "seccomp":
			o.seccomp = value
		case "apparmor":
			o.apparmor = value
		case "label":
			if err := o.label.add(value); err != nil {
				return o, err
			}
		case "systempaths":
			if value != "unconfined" {
				return o, bad
			}
			o.openPaths = true
		default:
			return o, bad
		}
		if key != "no-new-privileges" && value == "" {
			return o, bad
		}
	}
	return o, nil
}

// security sets seccomp, AppArmor, SELinux and the paths that are closed. It
// comes after the capabilities, which the seccomp profile depends on.
func (b *specBuilder) security() error {
	o, err := parseSecurityOptions(b.Service.SecurityOpt)
	if err != nil {
		return err
	}
	b.spec.Process.NoNewPrivileges = o.noNewPrivileges
	if !b.Service.Privileged && !o.openPaths {
		b.spec.Linux.MaskedPaths = slices.Concat(maskedPaths, b.host.Throttles)
		b.spec.Linux.ReadonlyPaths = readonlyPaths
	}
	if err := b.seccomp(o.seccomp); err != nil {
		return err
	}
	if err := b.apparmor(o.apparmor); err != nil {
		return err
	}
	return b.selinux(o.label)
}

func (b *specBuilder) seccomp(profile string) (err error) {
	switch {
	case profile == "unconfined", profile == "" && b.Service.Privileged:
		return nil
	case profile == "" || profile == "builtin":
		b.spec.Linux.Seccomp, err = defaultSeccomp(b.spec)
		return err
	}
	if !strings.HasPrefix(strings.TrimSpace(profile), "{") {
		if !filepath.IsAbs(profile) {
			profile = filepath.Join(b.Labels[project.LabelWorkingDir], profile)
		}
		data, err := os.ReadFile(profile)
		if err != nil {
			return fmt.Errorf("security_opt: seccomp profile: %w", err)
		}
		profile = string(data)
	}
	if b.spec.Linux.Seccomp, err = parseSeccomp(profile, b.spec); err != nil {
		return fmt.Errorf("security_opt: seccomp profile: %w", err)
	}
	return nil
}

// apparmor sets the profile. One that the kernel does not have is an error here:
// else it would be runc's, after all has been made.
func (b *specBuilder) apparmor(profile string) error {
	switch {
	case !b.host.AppArmor:
		if profile != "" && profile != "unconfined" {
			b.warn("security_opt: apparmor=%s: the host has no AppArmor", profile)
		}
	case profile == "" && b.Service.Privileged:
	case profile == "":
		b.spec.Process.ApparmorProfile = apparmor.Default
	case profile == "unconfined", profile == apparmor.Default:
		b.spec.Process.ApparmorProfile = profile
	default:
		there, err := apparmor.Loaded(b.host.Profiles, profile)
		if err != nil {
			return fmt.Errorf("security_opt: %w", err)
		}
		if !there {
			return fmt.Errorf("security_opt: AppArmor profile %q is not loaded: load it with apparmor_parser -r FILE, or name one of %s", profile, b.host.Profiles)
		}
		b.spec.Process.ApparmorProfile = profile
	}
	return nil
}

// defaultSeccomp is Docker's profile without its rules for x32: kernels have had
// that ABI turned off for years, and compiling rules for it takes a tenth of
// what starting a container does. Calls of an ABI without rules are refused.
func defaultSeccomp(spec *specs.Spec) (*specs.LinuxSeccomp, error) {
	filter, err := seccomp.GetDefaultProfile(spec)
	if err != nil {
		return nil, err
	}
	filter.Architectures = slices.DeleteFunc(filter.Architectures, func(a specs.Arch) bool { return a == specs.ArchX32 })
	return filter, nil
}

// parseSeccomp reads a seccomp profile, in Docker's form or the OCI's, for a
// container of the given spec: what a call is allowed depends on its capabilities.
func parseSeccomp(profile string, spec *specs.Spec) (*specs.LinuxSeccomp, error) {
	filter, err := seccomp.LoadProfile(profile, spec)
	if err != nil {
		return nil, err
	}
	if filter == nil || filter.DefaultAction == "" {
		return nil, errors.New("defaultAction is missing")
	}
	return filter, nil
}
