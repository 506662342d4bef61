package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// devices sets the device nodes and what the cgroup allows: nothing beyond
// runc's own few (null, zero, tty, …) but what the service names, and
// everything of the host for a privileged one.
func (b *specBuilder) devices() error {
	r := &specs.LinuxResources{}
	b.spec.Linux.Resources = r
	if b.Service.Privileged {
		nodes, err := oci.HostDevices()
		if err != nil {
			return fmt.Errorf("list the host's devices: %w", err)
		}
		b.spec.Linux.Devices = nodes
		r.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	} else {
		r.Devices = []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	}
	for _, d := range b.Service.Devices {
		if err := b.device(d); err != nil {
			return err
		}
	}
	for _, text := range b.Service.DeviceCgroupRules {
		rule, err := parseDeviceRule(text)
		if err != nil {
			return err
		}
		r.Devices = append(r.Devices, rule)
	}
	return nil
}

// device adds one entry of a service's devices: a node, or a folder of them.
func (b *specBuilder) device(d types.DeviceMapping) error {
	if strings.Contains(d.Source, "=") && !strings.HasPrefix(d.Source, "/") {
		return fmt.Errorf("devices: %s is a CDI device, which is not supported", d.Source)
	}
	permissions := firstOf(d.Permissions, "rwm")
	if strings.Trim(permissions, "rwm") != "" {
		return fmt.Errorf("devices: %s: permissions %q have letters other than r, w and m", d.Source, d.Permissions)
	}
	found, err := hostDevices(d.Source, firstOf(d.Target, d.Source))
	if err != nil {
		return fmt.Errorf("devices: %w", err)
	}
	for _, node := range found {
		b.spec.Linux.Devices = append(b.spec.Linux.Devices, node)
		b.spec.Linux.Resources.Devices = append(b.spec.Linux.Resources.Devices, specs.LinuxDeviceCgroup{
			Allow: true, Type: node.Type, Major: ptr(node.Major), Minor: ptr(node.Minor), Access: permissions,
		})
	}
	return nil
}

// hostDevices returns the device at a host path as it is to appear at target,
// or all devices below it.
func hostDevices(source, target string) ([]specs.LinuxDevice, error) {
	real, err := filepath.EvalSymlinks(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, errors.Unwrap(err))
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		d, err := deviceNode(real, target)
		if err != nil {
			return nil, err
		}
		return []specs.LinuxDevice{d}, nil
	}
	var found []specs.LinuxDevice
	err = filepath.WalkDir(real, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeDevice == 0 {
			return err
		}
		d, err := deviceNode(path, filepath.Join(target, strings.TrimPrefix(path, real)))
		found = append(found, d)
		return err
	})
	return found, err
}

// deviceNode describes the device at a host path as it is to appear at target.
func deviceNode(path, target string) (specs.LinuxDevice, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return specs.LinuxDevice{}, fmt.Errorf("%s: %w", path, err)
	}
	d := specs.LinuxDevice{
		Path: target, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
		FileMode: ptr(os.FileMode(st.Mode &^ unix.S_IFMT)), UID: ptr(st.Uid), GID: ptr(st.Gid),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		d.Type = "b"
	case unix.S_IFCHR:
		d.Type = "c"
	default:
		return specs.LinuxDevice{}, fmt.Errorf("%s is not a device", path)
	}
	return d, nil
}

// parseDeviceRule reads "c 1:3 mr" or "a *:* rwm".
func parseDeviceRule(text string) (specs.LinuxDeviceCgroup, error) {
	bad := fmt.Errorf("device_cgroup_rules: %q is not TYPE MAJOR:MINOR PERMISSIONS", text)
	fields := strings.Fields(text)
	if len(fields) != 3 || strings.Trim(fields[2], "rwm") != "" || !strings.Contains("abc", fields[0]) || len(fields[0]) != 1 {
		return specs.LinuxDeviceCgroup{}, bad
	}
	rule := specs.LinuxDeviceCgroup{Allow: true, Type: fields[0], Access: fields[2]}
	major, minor, ok := strings.Cut(fields[1], ":")
	if !ok {
		return specs.LinuxDeviceCgroup{}, bad
	}
	for _, n := range []struct {
		text string
		to   **int64
	}{{major, &rule.Major}, {minor, &rule.Minor}} {
		if n.text == "*" {
			continue
		}
		number, err := strconv.ParseUint(n.text, 10, 32)
		if err != nil {
			return specs.LinuxDeviceCgroup{}, bad
		}
		*n.to = ptr(int64(number))
	}
	return rule, nil
}
