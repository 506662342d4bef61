package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/internal/buildid"
	"github.com/compose-first/compose/project"
)

func (a *app) versionCommand() *cobra.Command {
	var format string
	var short bool
	c := &cobra.Command{
		Use:   "version [OPTIONS]",
		Short: "Show the version",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return a.printVersion(format, short) },
	}
	c.Flags().StringVarP(&format, "format", "f", "pretty", "pretty or json")
	c.Flags().BoolVar(&short, "short", false, "The number alone")
	return c
}

func (a *app) printVersion(format string, short bool) error {
	if short {
		fmt.Fprintln(a.out, project.Version)
		return nil
	}
	switch format {
	case "", "pretty":
		fmt.Fprintf(a.out, "Compose on containerd version %s\n", project.Version)
	case "json":
		return json.NewEncoder(a.out).Encode(map[string]string{"version": project.Version})
	default:
		return badFormat(format)
	}
	return nil
}

// identity is the version with that of the build: what the agent is to be of.
func identity() string { return project.Version + "+" + buildid.Own() }

// badFormat refuses a --format that is neither table (or pretty) nor json.
func badFormat(format string) error {
	return fmt.Errorf("format value %q could not be parsed: parsing failed", format)
}
