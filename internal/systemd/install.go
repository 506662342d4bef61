package systemd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// ErrNotBooted means that the machine was not booted with systemd.
var ErrNotBooted = errors.New("this machine was not booted with systemd")

// Booted tells whether systemd runs this machine.
// Source: sd_booted(3).
func Booted() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// Stopping tells whether the machine is being shut down. Where systemd does not
// answer it is not known to be.
func Stopping(ctx context.Context) bool {
	out, _ := exec.CommandContext(ctx, "systemctl", "is-system-running").Output() // its code tells the same
	return strings.TrimSpace(string(out)) == "stopping"
}

// Install writes the unit, has systemd start it at each boot, and now. What
// runs already is taken over. starting is called before it waits for the start,
// which waits for the network.
func (s Service) Install(ctx context.Context, starting func()) error {
	if !Booted() {
		return ErrNotBooted
	}
	if err := s.Check(); err != nil {
		return err
	}
	if _, err := s.ours(); err != nil {
		return err
	}
	if err := s.write(); err != nil {
		return fmt.Errorf("write unit: %w", err)
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", s.Name()}} {
		if err := systemctl(ctx, args...); err != nil {
			return err
		}
	}
	starting()
	return systemctl(ctx, "restart", s.Name())
}

// Uninstall undoes Install, and reports whether there was anything to undo. The
// engine and its containers run on.
func (s Service) Uninstall(ctx context.Context) (there bool, err error) {
	there, err = s.ours()
	if err != nil || !there {
		return there, err
	}
	if Booted() {
		if err := systemctl(ctx, "disable", "--now", s.Name()); err != nil {
			return true, err
		}
	}
	if err := os.Remove(s.Path()); err != nil {
		return true, fmt.Errorf("remove unit: %w", err)
	}
	if Booted() {
		return true, systemctl(ctx, "daemon-reload")
	}
	return true, nil
}

// Installed tells whether the unit is there.
func (s Service) Installed() bool {
	there, err := s.ours()
	return there && err == nil
}

// ours tells whether the unit is there; one that others wrote is an error.
func (s Service) ours() (bool, error) {
	text, err := os.ReadFile(s.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read unit: %w", err)
	}
	if !bytes.HasPrefix(text, []byte(mark)) {
		return false, fmt.Errorf("%s was not written by compose: move it away first", s.Path())
	}
	return true, nil
}

// write replaces the unit at once, so that systemd never reads half of it.
func (s Service) write() error {
	temporary := s.Path() + ".new"
	if err := os.WriteFile(temporary, []byte(s.Unit()), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, s.Path())
}

func systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
