package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/internal/bundle"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/systemd"
)

func (a *app) engineInstallCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install",
		Short: "Have systemd start the engine at boot and watch over it",
		Long: `Have systemd start the engine at boot and watch over it.

A unit is written to ` + systemd.Folder + `, enabled and started. An engine that
runs is taken over; no container notices, nor does one when the unit is stopped
or restarted. With --dry-run the unit is printed, and nothing is changed.

COMPOSE_ENGINE_ROOT, COMPOSE_LIBEXEC and the containerd in use are written into
the unit; engines with different roots have units of their own.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.engineInstall(cmd.Context()) },
	}
}

func (a *app) engineUninstallCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "uninstall",
		Short: "Undo install; the engine and its containers run on",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.engineUninstall(cmd.Context()) },
	}
}

func (a *app) engineInstall(ctx context.Context) error {
	s, err := a.service()
	if err != nil {
		return err
	}
	if a.global.dryRun {
		if err := s.Check(); err != nil {
			return err
		}
		a.info("would write %s, enable and start it", s.Path())
		fmt.Fprint(a.out, s.Unit())
		return nil
	}
	if err := bundle.CheckRoot(); err != nil {
		return err
	}
	err = s.Install(ctx, func() { a.info("%s is enabled; starting it as soon as the network is online", s.Name()) })
	if errors.Is(err, systemd.ErrNotBooted) {
		return fmt.Errorf("%w: have its init run `%s engine start` as root at boot, after the network; with cron, the line \"@reboot root %s%s engine start\" in /etc/crontab does it",
			err, s.Binary, assignments(s.Environment), s.Binary)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s is written, enabled and started: `systemctl status %s` shows it\n", s.Path(), s.Name())
	return nil
}

func (a *app) engineUninstall(ctx context.Context) error {
	s, err := a.service()
	if err != nil {
		return err
	}
	if a.global.dryRun {
		if s.Installed() {
			a.info("would disable, stop and remove %s", s.Path())
		} else {
			a.info("there is no %s: nothing to do", s.Path())
		}
		return nil
	}
	if err := bundle.CheckRoot(); err != nil {
		return err
	}
	there, err := s.Uninstall(ctx)
	switch {
	case err != nil:
		return err
	case there:
		fmt.Fprintf(a.out, "%s is removed; the engine runs on until `%s engine stop`\n", s.Path(), a.name)
	default:
		fmt.Fprintf(a.out, "there is no %s: nothing to do\n", s.Path())
	}
	return nil
}

// service is this engine as a service of systemd.
func (a *app) service() (systemd.Service, error) {
	root, err := layout.FromEnvironment()
	if err != nil {
		return systemd.Service{}, err
	}
	binary, err := os.Executable()
	if err != nil {
		return systemd.Service{}, fmt.Errorf("find own binary: %w", err)
	}
	s := systemd.Service{Binary: binary, Tag: root.Tag(), State: root.State}
	if s.Tag != "" {
		s.Environment = append(s.Environment, layout.RootVariable+"="+filepath.Dir(root.State))
	}
	if dir := os.Getenv(bundle.LibexecVariable); dir != "" {
		if dir, err = filepath.Abs(dir); err != nil {
			return s, fmt.Errorf("%s: %w", bundle.LibexecVariable, err)
		}
		s.Environment = append(s.Environment, bundle.LibexecVariable+"="+dir)
	}
	if a.global.containerd != "" {
		s.Environment = append(s.Environment, "CONTAINERD_ADDRESS="+a.global.containerd)
	}
	return s, nil
}

// assignments are variables as a shell takes them before a command.
func assignments(environment []string) (text string) {
	for _, kv := range environment {
		text += kv + " "
	}
	return text
}
