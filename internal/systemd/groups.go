package systemd

import (
	"context"
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/cgroup"
)

// Groups is the unit that keeps systemd's hands off the control groups of an
// engine's containers, for as long as the engine runs.
//
// With cgroups of version 1, when a unit comes or goes that needs a controller
// which no other unit needs, systemd moves all processes of the machine into
// its own groups of that controller, containers' among them: these lose their
// limits, and nobody can enter them. A unit to which all controllers are
// delegated, even one without a process, leaves no controller to come or go.
// Source: systemd 252, src/core/cgroup.c, unit_update_cgroup.
type Groups struct {
	Tag string // of the engine's root, "" for the default one
}

// Name is that of the unit: "compose-groups.service".
func (g Groups) Name() string {
	if g.Tag == "" {
		return "compose-groups.service"
	}
	return "compose-" + g.Tag + "-groups.service"
}

// Hold makes the unit where systemd does such things, unless it is there. It
// lasts until Release, or until the machine stops.
func (g Groups) Hold(ctx context.Context) error {
	if !moves() {
		return nil
	}
	cmd := exec.CommandContext(ctx, "systemd-run", "--quiet", "--unit="+g.Name(),
		"--description=Control groups of Compose containers",
		"--property=Delegate=yes", "--property=DefaultDependencies=no", "--remain-after-exit", "true")
	out, err := cmd.CombinedOutput()
	if err == nil || systemctl(ctx, "is-active", "--quiet", g.Name()) == nil {
		return nil
	}
	return fmt.Errorf("have systemd leave the control groups of containers alone: %w\n%s", err, out)
}

// Release takes the unit away, if it is there.
func (g Groups) Release(ctx context.Context) error {
	if !moves() || systemctl(ctx, "is-active", "--quiet", g.Name()) != nil {
		return nil
	}
	return systemctl(ctx, "stop", g.Name())
}

// moves tells whether systemd runs this machine with cgroups of version 1.
func moves() bool {
	var fs unix.Statfs_t
	return Booted() && unix.Statfs(cgroup.Root, &fs) == nil && fs.Type != unix.CGROUP2_SUPER_MAGIC
}
