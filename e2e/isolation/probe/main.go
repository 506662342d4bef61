// Probe runs inside a container and tries what a container must not: for each
// of its arguments it prints what came of it, "allowed" or the kernel's error.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "race" {
		race(os.Args[2], os.Args[3])
	}
	slices.SortStableFunc(os.Args[1:], func(a, b string) int { return order(a) - order(b) })
	for _, name := range os.Args[1:] {
		fmt.Printf("%s: %s\n", name, report(name))
	}
}

// race lets two names change places for ever.
func race(one, other string) {
	for {
		if err := unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE); err != nil {
			fmt.Fprintln(os.Stderr, "race:", err)
			os.Exit(1)
		}
	}
}

// order is 1 for the attempt that comes after all others.
func order(name string) int {
	if name == "host's root" {
		return 1
	}
	return 0
}

// report is the outcome of one attempt, or what it tells.
func report(name string) string {
	if tell, ok := facts[name]; ok {
		return tell()
	}
	try, ok := attempts[name]
	if !ok {
		return "there is no such attempt"
	}
	err := alone(try)
	var number unix.Errno
	switch {
	case err == nil:
		return "allowed"
	case errors.As(err, &number):
		return unix.ErrnoName(number)
	}
	return err.Error()
}

// alone runs an attempt on a thread that ends with it, and with it whatever
// the attempt has entered.
func alone(try func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- try()
	}()
	return <-done
}

func status(key string) func() string {
	return func() string {
		b, _ := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(b)) {
			if value, ok := strings.CutPrefix(line, key+":"); ok {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
}

var facts = map[string]func() string{
	"CapEff":     status("CapEff"),
	"CapBnd":     status("CapBnd"),
	"NoNewPrivs": status("NoNewPrivs"),
	"Seccomp":    status("Seccomp"),
	"euid":       func() string { return fmt.Sprint(os.Geteuid()) },
	"/dev":       devices,
	"processes":  func() string { all, _ := filepath.Glob("/proc/[0-9]*"); return fmt.Sprint(len(all)) },
}

// devices lists the device nodes that there are.
func devices() string {
	var all []string
	err := filepath.WalkDir("/dev", func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type()&os.ModeDevice != 0 {
			all = append(all, strings.TrimPrefix(path, "/dev/"))
		}
		return err
	})
	if err != nil {
		return err.Error()
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, e := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if e != 0 {
		return e
	}
	return nil
}

// beyond is for calls that would be allowed by whoever lets their arguments be
// looked at: the error that a call with bad arguments then has is as good as none.
func beyond(err error, harmless ...unix.Errno) error {
	for _, e := range harmless {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// content reads a file, which has to have something in it.
func content(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := f.Read(make([]byte, 1)); n == 0 {
		return fmt.Errorf("empty: %w", err)
	}
	return nil
}

// scratch is a fresh folder.
func scratch() string {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		panic(err)
	}
	return dir
}

// node makes a device and opens it.
func node(kind uint32, major, minor uint32) error {
	path := filepath.Join(scratch(), "node")
	if err := unix.Mknod(path, kind|0o600, int(unix.Mkdev(major, minor))); err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err == nil {
		unix.Close(fd)
	}
	return beyond(err, unix.ENXIO) // the host has none, and would let us
}

func socket(family, kind, protocol int) error {
	fd, err := unix.Socket(family, kind, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return beyond(err, unix.EAFNOSUPPORT)
}

// unshare leaves namespaces behind: one that a program of several threads
// cannot leave, another could.
func unshare(flags int) func() error {
	return func() error { return beyond(unix.Unshare(flags), unix.EINVAL) }
}

// zero is an attribute structure of nothing but zeros, and larger than any.
var zero [256]byte

var attempts = map[string]func() error{
	"mount tmpfs":   func() error { return unix.Mount("tmpfs", scratch(), "tmpfs", 0, "") },
	"bind mount":    func() error { return unix.Mount("/", scratch(), "", unix.MS_BIND, "") },
	"remount /":     func() error { return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "") },
	"unmount /proc": func() error { return unix.Unmount("/proc/sys", unix.MNT_DETACH) },
	"pivot root":    func() error { return beyond(unix.PivotRoot("/", "/"), unix.EBUSY, unix.EINVAL) },
	"open tree": func() error {
		fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)
		unix.Close(fd)
		return err
	},
	"unshare mounts":  unshare(unix.CLONE_NEWNS),
	"unshare network": unshare(unix.CLONE_NEWNET),
	"unshare users":   unshare(unix.CLONE_NEWUSER),
	"unshare pids":    unshare(unix.CLONE_NEWPID),
	"setns": func() error {
		fd, err := unix.Open("/proc/1/ns/net", unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Setns(fd, unix.CLONE_NEWNET)
	},
	"keyctl": func() error { _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true); return err },
	"add key": func() error {
		_, err := unix.AddKey("user", "probe", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
		return err
	},
	"bpf": func() error { return beyond(call(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&zero)), 4), unix.EINVAL) },
	"perf events": func() error {
		return beyond(call(unix.SYS_PERF_EVENT_OPEN, uintptr(unsafe.Pointer(&zero)), 0, ^uintptr(0), ^uintptr(0), 0), unix.EINVAL, unix.ENOENT)
	},
	"io_uring": func() error {
		return beyond(call(unix.SYS_IO_URING_SETUP, 0, uintptr(unsafe.Pointer(&zero))), unix.EINVAL)
	},
	"userfaultfd": func() error { return beyond(call(unix.SYS_USERFAULTFD, 1<<31), unix.EINVAL) },
	"kexec":       func() error { return beyond(call(unix.SYS_KEXEC_LOAD, 0, 1<<20, 0, 0), unix.EINVAL) },
	"load a module": func() error {
		return beyond(call(unix.SYS_FINIT_MODULE, ^uintptr(0), 0, 1<<30), unix.EINVAL, unix.EBADF)
	},
	"reboot": func() error { return beyond(call(unix.SYS_REBOOT, 0, 0, 0, 0), unix.EINVAL) }, // with no magic number: never done
	"swap": func() error {
		return beyond(call(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(&zero))), unix.ENOENT, unix.EINVAL)
	},
	"set the clock": func() error { var t unix.Timeval; t.Sec = -1; return beyond(unix.Settimeofday(&t), unix.EINVAL) },
	"kernel log":    func() error { _, err := unix.Klogctl(3, make([]byte, 16)); return err },
	"open by handle": func() error {
		handle, id, err := unix.NameToHandleAt(unix.AT_FDCWD, "/bin", 0)
		_ = id
		if err != nil {
			handle = unix.NewFileHandle(1, make([]byte, 8))
		}
		root, err := unix.Open("/", unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(root)
		fd, err := unix.OpenByHandleAt(root, handle, unix.O_RDONLY)
		if err == nil {
			unix.Close(fd)
		}
		return beyond(err, unix.ESTALE, unix.EINVAL, unix.EOPNOTSUPP)
	},
	"trace a child":      func() error { return call(unix.SYS_PTRACE, unix.PTRACE_TRACEME) },
	"vsock":              func() error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) },
	"raw socket":         func() error { return socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP) },
	"change routes":      changeRoutes,
	"make a directory":   func() error { return os.Mkdir(filepath.Join(os.TempDir(), fmt.Sprint("dir", os.Getpid())), 0o700) },
	"write to /":         func() error { return os.WriteFile("/written", nil, 0o600) },
	"change an owner":    func() error { return os.Chown(scratch(), 1, 1) },
	"make a fifo":        func() error { return unix.Mkfifo(filepath.Join(scratch(), "fifo"), 0o600) },
	"memory by node":     func() error { return node(unix.S_IFCHR, 1, 1) },
	"disk by node":       func() error { return node(unix.S_IFBLK, 254, 0) },
	"kernel log by node": func() error { return node(unix.S_IFCHR, 1, 11) },
	"null by node":       func() error { return node(unix.S_IFCHR, 1, 3) },
	"fuse by node":       func() error { return node(unix.S_IFCHR, 10, 229) },
	"write /proc/sys":    func() error { return write("/proc/sys/kernel/domainname", "probe") },
	"write core_pattern": func() error {
		b, _ := os.ReadFile("/proc/sys/kernel/core_pattern")
		return write("/proc/sys/kernel/core_pattern", string(b))
	},
	"write sysrq":     func() error { return write("/proc/sysrq-trigger", "") },
	"write /sys":      func() error { return beyond(write("/sys/kernel/mm/ksm/run", "7"), unix.EINVAL) },
	"write cgroups":   writeCgroups,
	"read kcore":      func() error { return content("/proc/kcore") },
	"read keys":       func() error { return content("/proc/keys") },
	"read interrupts": func() error { return content("/proc/interrupts") },
	"read firmware":   readFirmware,
	"read timers":     func() error { return content("/proc/timer_list") },
	"host's root":     hostsRoot,
}

func changeRoutes() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr); err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// writeCgroups tries to make a group below each group that is there to see,
// and to give itself one's limits anew.
func writeCgroups() error {
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs") // version 1
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); err == nil {
		groups = append(groups, "/sys/fs/cgroup/cgroup.procs")
	}
	err := error(unix.ENOENT)
	for _, procs := range groups {
		below := filepath.Join(filepath.Dir(procs), "probe")
		if err = os.Mkdir(below, 0o700); err == nil {
			return os.Remove(below)
		}
		if e := write(procs, fmt.Sprint(os.Getpid())); e == nil {
			return nil
		}
	}
	return err
}

func readFirmware() error {
	entries, err := os.ReadDir("/sys/firmware")
	if err == nil && len(entries) == 0 {
		return errors.New("empty")
	}
	return err
}

// hostsRoot breaks out of a chroot, which ends at the container's own root: a
// file that only the host has must not be there. It is the last that a process does.
func hostsRoot() error {
	if err := unix.Chroot(scratch()); err != nil {
		return err
	}
	for range 64 {
		if err := unix.Chdir(".."); err != nil {
			return err
		}
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	_, err := os.Stat(os.Getenv("HOSTS_FILE"))
	return err
}
