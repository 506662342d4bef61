package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
)

// execOptions are those of exec.
type execOptions struct {
	detach      bool
	env         []string
	index       int
	noTTY       bool
	privileged  bool
	user        string
	workdir     string
	interactive bool
}

// Exit codes of a command that cannot be run.
// Source: POSIX.1-2017, XCU 2.8.2.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
)

func (a *app) execCommand() *cobra.Command {
	var o execOptions
	c := &cobra.Command{
		Use:   "exec [OPTIONS] SERVICE COMMAND [ARGS...]",
		Short: "Run a command in a running container",
		Args:  cobra.MinimumNArgs(2),
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&o.detach, "detach", "d", false, "Return when it has started")
	f.StringArrayVarP(&o.env, "env", "e", nil, "KEY=VALUE, or KEY to take its value from here, repeatable")
	f.IntVar(&o.index, "index", 0, "Container of the service, by its number (default: the lowest)")
	f.BoolVarP(&o.noTTY, "no-tty", "T", false, "No terminal (default: one if standard output is one)")
	f.BoolVar(&o.privileged, "privileged", false, "With all capabilities")
	f.StringVarP(&o.user, "user", "u", "", "User, by name or ID, and :group")
	f.StringVarP(&o.workdir, "workdir", "w", "", "Working directory")
	f.BoolVarP(&o.interactive, "interactive", "i", true, "Keep standard input open")
	f.BoolP("tty", "t", true, "Terminal")
	hide(f, "interactive", "tty")
	normalize(c, map[string]string{"no-TTY": "no-tty"})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o.noTTY = a.withoutTTY(cmd, o.noTTY, isTerminal(a.stdout))
		return a.execIn(cmd.Context(), o, args[0], args[1:])
	}
	return c
}

// withoutTTY settles whether a command gets a terminal: byDefault, unless a
// flag says otherwise.
func (a *app) withoutTTY(c *cobra.Command, noTTY, byDefault bool) bool {
	tty := c.Flags().Lookup("tty")
	switch {
	case c.Flags().Changed("no-tty"):
		return noTTY
	case tty.Changed:
		return tty.Value.String() == "false"
	}
	return !byDefault
}

var errNoTerminal = errors.New("cannot attach stdin to a TTY-enabled container because stdin is not a terminal")

func (a *app) execIn(ctx context.Context, o execOptions, service string, args []string) error {
	if a.global.dryRun {
		return errors.New("interactive exec is not supported in dry-run mode")
	}
	if err := checkWorkdir(o.workdir); err != nil {
		return &exitError{code: codeNotFound, err: err}
	}
	if !o.noTTY && !o.detach && o.interactive && !isTerminal(a.in) {
		return errNoTerminal
	}
	r, c, err := a.runningContainer(ctx, service, o.index)
	if err != nil {
		return err
	}
	cfg := engine.ExecConfig{
		Args: args, Env: ownEnvironment(o.env), User: o.user, WorkingDir: o.workdir,
		TTY: !o.noTTY, Privileged: o.privileged, Detach: o.detach, Abandon: true,
	}
	if !o.detach {
		cfg.Stdout, cfg.Stderr = a.stdout, a.stderr
		if o.interactive {
			cfg.Stdin = a.in
		}
	}
	if cfg.TTY && !o.detach {
		t, err := a.takeTerminal()
		if err != nil {
			return err
		}
		defer t.restore()
		cfg.Size, cfg.Resize = a.windowSize(), t.sizes
		cfg.Stderr = nil
	}
	code, err := r.engine.Exec(ctx, c.ID, cfg)
	return execError(service, args[0], code, err)
}

// execError gives the exit codes of a shell to commands that cannot be run.
func execError(service, program string, code int, err error) error {
	switch {
	case errors.Is(err, engine.ErrCommandNotFound):
		return &exitError{code: codeNotFound, err: fmt.Errorf("service %q: %q: executable file not found in $PATH", service, program)}
	case err != nil && strings.Contains(err.Error(), "chdir to cwd"): // runc's words for a missing working directory
		return &exitError{code: codeNotFound, err: err}
	case errors.Is(err, engine.ErrNotExecutable):
		return &exitError{code: codeNotExecutable, err: err}
	case err != nil:
		return err
	}
	return exitWith(code)
}

// ownEnvironment fills in KEY without a value from this process; one that is
// not set here is left out.
func ownEnvironment(env []string) []string {
	var filled []string
	for _, e := range env {
		if !strings.Contains(e, "=") {
			value, ok := os.LookupEnv(e)
			if !ok {
				continue
			}
			e += "=" + value
		}
		filled = append(filled, e)
	}
	return filled
}

// runningContainer finds the container of a service that exec and port mean:
// that of a number, else the lowest, one-offs last.
func (a *app) runningContainer(ctx context.Context, service string, index int) (*rooms, engine.Container, error) {
	none := fmt.Errorf("service %q is not running", service)
	if index > 0 {
		none = fmt.Errorf("service %q is not running container #%d", service, index)
	}
	a.lookAhead(ctx)
	name, _, err := a.target(ctx)
	if err != nil {
		return nil, engine.Container{}, err
	}
	r, err := a.look(ctx)
	if err != nil {
		return nil, engine.Container{}, err
	}
	if r.engine == nil {
		return nil, engine.Container{}, none
	}
	containers, err := r.engine.Observe(ctx, name)
	if err != nil {
		return nil, engine.Container{}, err
	}
	c, ok := pick(containers, service, index)
	if !ok {
		return nil, engine.Container{}, none
	}
	return r, c, nil
}

// pick is the running container of a service with a number, 0 for the lowest.
func pick(containers []engine.Container, service string, index int) (engine.Container, bool) {
	var found []engine.Container
	for _, c := range containers {
		if c.Labels[project.LabelService] != service || c.State != engine.StateRunning {
			continue
		}
		if index > 0 && (oneOff(c) || c.Record.Number != index) {
			continue
		}
		found = append(found, c)
	}
	if len(found) == 0 {
		return engine.Container{}, false
	}
	return slices.MinFunc(found, func(x, y engine.Container) int {
		return cmp.Or(compareBool(oneOff(x), oneOff(y)), cmp.Compare(x.Record.Number, y.Record.Number))
	}), true
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}
