package filelabel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// system are folders and files that the host needs with the labels that they
// have: with a container's, it may not even boot any more.
// Source: go-selinux, Chcon; and where these lead with a merged /usr.
var system = []string{
	"/", "/bin", "/boot", "/dev", "/etc", "/etc/passwd", "/etc/pki", "/etc/shadow", "/home", "/lib", "/lib64",
	"/media", "/mnt", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp",
	"/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local", "/usr/sbin", "/usr/share",
	"/var", "/var/lib", "/var/log", "/var/run", "/var/tmp",
}

// Guarded returns an error for a path whose label must not be changed: the
// system's folders and the homes of users, by whatever links it leads there.
// What does not exist is none of them.
func Guarded(path string) error {
	if err := guarded(filepath.Clean(path)); err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return guarded(real)
}

func guarded(path string) error {
	home, err := os.UserHomeDir()
	if slices.Contains(system, path) || filepath.Dir(path) == "/home" || err == nil && path == filepath.Clean(home) {
		return fmt.Errorf("%s must keep the SELinux label that it has: mount a folder below it, or leave the label as it is (no z or Z)", path)
	}
	return nil
}
