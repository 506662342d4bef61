package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/apparmor"
	"github.com/compose-first/compose/internal/thread"
	"github.com/compose-first/compose/netplan"
)

// namespaces are those that containers have of their own.
var namespaces = []string{"mnt", "pid", "ipc", "uts", "cgroup", "net"}

// kernel looks at what containers need of it besides files and network.
func kernel(_ context.Context, c Config) []Finding {
	var missing []string
	for _, name := range namespaces {
		if _, err := os.Stat("/proc/self/ns/" + name); err != nil {
			missing = append(missing, name)
		}
	}
	f := Finding{Status: OK, Found: "namespaces " + strings.Join(namespaces, ", ") + " are there", Means: "containers see their own processes, mounts and names"}
	if len(missing) > 0 {
		f = Finding{Status: Problem, Found: "namespaces " + strings.Join(missing, ", ") + " are missing", Means: "containers cannot be kept apart", Do: "use a kernel with CONFIG_NAMESPACES and all below it"}
	}
	return append([]Finding{f, userNamespaces(), seccomp()}, modules(c)...)
}

func userNamespaces() Finding {
	if _, err := os.Stat("/proc/self/ns/user"); err != nil {
		return Finding{Status: Note, Found: "user namespaces are missing", Means: "services cannot ask for userns_mode, and all else works"}
	}
	return Finding{Status: OK, Found: "user namespaces are there", Means: "services may ask for userns_mode"}
}

// seccomp looks for the filter of system calls.
// Source: Linux, Documentation/userspace-api/seccomp_filter.rst, sysctls.
func seccomp() Finding {
	actions, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil || !slices.Contains(strings.Fields(string(actions)), "errno") {
		return Finding{Status: Problem, Found: "seccomp filters are missing", Means: "runc refuses to start containers with the default profile", Do: "use a kernel with CONFIG_SECCOMP_FILTER"}
	}
	return Finding{Status: OK, Found: "seccomp filters are there", Means: "containers are kept from dangerous system calls"}
}

// modules are the host's further protection, which containers take part in.
func modules(c Config) []Finding {
	text, _ := os.ReadFile("/sys/kernel/security/lsm") // without it there is none
	var all []Finding
	if slices.Contains(strings.Split(strings.TrimSpace(string(text)), ","), "apparmor") {
		all = append(all, appArmor())
	}
	if all = append(all, selinuxFindings(c)...); len(all) > 0 {
		return all
	}
	return []Finding{{Status: Note, Found: "neither AppArmor nor SELinux is in use", Means: "containers are confined by capabilities and seccomp alone"}}
}

// appArmor tells whether the profile of containers can be loaded, on a host
// that has AppArmor switched on.
func appArmor() Finding {
	if !apparmor.Enabled() {
		return Finding{Status: Warning, Found: "AppArmor is in use, and there is no /sbin/apparmor_parser to load profiles with",
			Means: "containers are not confined by it", Do: "install the package apparmor, and recreate the containers"}
	}
	return Finding{Status: OK, Found: "AppArmor is in use", Means: "containers and steps of builds are confined by it, too"}
}

// overlay tries to mount what files of containers are made of, where they will be.
func overlay(_ context.Context, c Config) []Finding {
	dir := existing(c.Root.State)
	err := tryOverlay(dir)
	switch {
	case err == nil:
		return []Finding{{Status: OK, Found: "overlayfs works on " + dir, Means: "containers share the layers of their images"}}
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return []Finding{{Status: Note, Found: "overlayfs was not tried on " + dir, Means: "there is no space left to try it, see disk"}}
	case errors.Is(err, unix.ENODEV):
		return []Finding{{Status: Problem, Found: "the kernel has no overlayfs", Means: "no container can be made", Do: "run `modprobe overlay`, or use a kernel with CONFIG_OVERLAY_FS"}}
	}
	return []Finding{{Status: Problem, Found: fmt.Sprintf("overlayfs does not work on %s (%v)", dir, err), Means: "no container can be made there",
		Do: "put the engine's root on ext4, xfs or btrfs (COMPOSE_ENGINE_ROOT, or a mount at " + c.Root.State + ")"}}
}

// existing is path, or the nearest folder above it that is there.
func existing(path string) string {
	for {
		if info, err := os.Stat(path); err == nil && info.IsDir() || path == "/" {
			return path
		}
		path = filepath.Dir(path)
	}
}

// tryOverlay mounts an overlay of folders in dir, in a mount namespace of its own.
func tryOverlay(dir string) (retErr error) {
	temporary, err := os.MkdirTemp(dir, ".compose-doctor-")
	if err != nil {
		return err
	}
	defer func() { retErr = errors.Join(retErr, os.RemoveAll(temporary)) }()
	var options []string
	for _, option := range []string{"lowerdir", "upperdir", "workdir"} {
		folder := filepath.Join(temporary, option)
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
		options = append(options, option+"="+folder)
	}
	target := filepath.Join(temporary, "lowerdir")
	thread.Apart(func() { retErr = mountOverlay(target, strings.Join(options, ",")) })
	return retErr
}

// mountOverlay leaves the calling thread in a mount namespace of its own.
func mountOverlay(target, options string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		return err
	}
	return unix.Unmount(target, 0)
}

// network tries what networks are made of.
func network(context.Context, Config) []Finding {
	advice := map[string][2]string{ // by feature: what it is for, and how it is had
		"network namespaces": {"containers have a network of their own", "use a kernel with CONFIG_NET_NS"},
		"bridge":             {"containers of a network reach each other", "run `modprobe bridge`, or use a kernel with CONFIG_BRIDGE"},
		"veth":               {"containers are wired to their networks", "run `modprobe veth`, or use a kernel with CONFIG_VETH"},
		"nftables":           {"networks are kept apart, and ports published", "run `modprobe -a nf_tables nft_chain_nat nft_fib_inet nft_masq nft_ct nft_reject_inet`, or use a kernel with CONFIG_NF_TABLES and these"},
	}
	var all []Finding
	for _, trial := range netplan.Probe() {
		means, do := advice[trial.Feature][0], advice[trial.Feature][1]
		if trial.Err == nil {
			all = append(all, Finding{Status: OK, Found: trial.Feature + " can be made", Means: means})
		} else {
			all = append(all, Finding{Status: Problem, Found: fmt.Sprintf("%s cannot be made (%v)", trial.Feature, trial.Err), Means: "without it, what is missing is that " + means, Do: do})
		}
	}
	return all
}
