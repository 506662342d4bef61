package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/agent"
	"github.com/compose-first/compose/doctor"
	"github.com/compose-first/compose/host"
	"github.com/compose-first/compose/internal/bundle"
	"github.com/compose-first/compose/internal/escape"
	"github.com/compose-first/compose/internal/layout"
)

// doctorOptions are those of doctor.
type doctorOptions struct {
	fix    bool
	format string
}

func (a *app) doctorCommand() *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use:   "doctor [OPTIONS]",
		Short: "Examine the machine, and what the engine has left over",
		Long: `Examine the machine, and what the engine has left over.

Each line says what was found, what it means, and what to do: "ok", "note" (worth
knowing), "warning" (in nobody's way yet), "problem" (stands in the way: the exit
code is then 1). Nothing is changed but with --fix, which removes what the engine
has made and what belongs to nothing any more; never a volume, and nothing of a
container or of another engine that may be alive.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), o) },
	}
	f := c.Flags()
	f.BoolVar(&o.fix, "fix", false, "Remove what is left over")
	f.StringVar(&o.format, "format", "table", "table or json")
	return c
}

func (a *app) doctor(ctx context.Context, o doctorOptions) error {
	if o.format != "table" && o.format != "json" {
		return badFormat(o.format)
	}
	if err := bundle.CheckRoot(); err != nil {
		return err
	}
	cfg, err := a.patient(ctx)
	if err != nil {
		return err
	}
	findings, err := doctor.Examine(ctx, cfg)
	if err != nil {
		return err
	}
	if o.fix && !a.global.dryRun {
		findings = doctor.Fix(ctx, findings)
	}
	if err := a.printFindings(o.format, findings); err != nil {
		return err
	}
	if doctor.Problems(findings) > 0 {
		return &exitError{code: codeFailure}
	}
	return nil
}

// patient is what there is to examine. Whatever of it is missing or broken is
// for the doctor to tell.
func (a *app) patient(ctx context.Context) (doctor.Config, error) {
	root, err := layout.FromEnvironment()
	if err != nil {
		return doctor.Config{}, err
	}
	c := doctor.Config{Root: root, Version: identity()}
	if c.Service, err = a.service(); err != nil {
		return c, err
	}
	client := agent.Find(root)
	status, err := client.Status(ctx)
	c.AgentVersion, c.AgentError = status.Version, err
	if errors.Is(c.AgentError, agent.ErrNotRunning) && client.Stopped() {
		c.AgentError = nil
	}
	if c.Bundle, c.BundleError = bundle.Find(root, a.global.containerd); c.BundleError != nil {
		return c, nil
	}
	r := &rooms{root: root, bundle: c.Bundle, agent: client}
	if !a.answering(r) {
		return c, nil
	}
	if c.EngineError = a.connect(ctx, r, r.address()); c.EngineError != nil {
		return c, nil
	}
	c.Engine = r.engine
	c.Machine, err = host.New(host.Config{Engine: r.engine, Root: root})
	return c, err
}

// report is what doctor --format json prints.
type report struct {
	Problems int              `json:"problems"` // findings that stand in the way
	Findings []doctor.Finding `json:"findings"`
}

func (a *app) printFindings(format string, findings []doctor.Finding) error {
	if format == "json" {
		e := json.NewEncoder(a.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(report{Problems: doctor.Problems(findings), Findings: findings})
	}
	for _, f := range findings {
		status := fmt.Sprintf("%-8s", f.Status)
		if color := statusColor(f.Status); color != "" && a.colors(a.stdout) {
			status = color + status + "\x1b[0m"
		}
		text := strings.ReplaceAll(f.String(), "\n", " ")
		if _, err := fmt.Fprintf(a.stdout, "%s %-10s  %s\n", status, f.Check, escape.Line(text)); err != nil {
			return err
		}
	}
	return nil
}

// statusColor begins the colour of a status; "" for none.
func statusColor(s doctor.Status) string {
	switch s {
	case doctor.OK, doctor.Fixed:
		return "\x1b[32m"
	case doctor.Warning:
		return "\x1b[33m"
	case doctor.Problem:
		return "\x1b[31m"
	}
	return ""
}
