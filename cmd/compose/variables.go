package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/template"
	"gopkg.in/yaml.v3"

	"github.com/compose-first/compose/internal/table"
	"github.com/compose-first/compose/project"
)

// configVariables prints the variables that the files use. They are found in
// the files as they are written, so that none need be set.
func (a *app) configVariables(ctx context.Context, o configOptions) error {
	o.load.NoInterpolate, o.load.NoConsistency, o.load.NoNormalize = true, true, true
	p, err := a.loadWith(ctx, o.load)
	if err != nil {
		return err
	}
	text, err := project.Marshal(p, "json")
	if err != nil {
		return err
	}
	var model map[string]any
	if err := json.Unmarshal(text, &model); err != nil {
		return fmt.Errorf("read the project again: %w", err)
	}
	variables := template.ExtractVariables(model, template.DefaultPattern)
	if o.quiet {
		return nil
	}
	switch o.format {
	case "json":
		text, err = json.MarshalIndent(variables, "", "  ")
		return a.printBytes(o.output, text, err)
	case "yaml":
		text, err = yaml.Marshal(variables)
		return a.printBytes(o.output, text, err)
	}
	return a.variableTable(variables)
}

func (a *app) printBytes(path string, text []byte, err error) error {
	if err != nil {
		return fmt.Errorf("print variables: %w", err)
	}
	return a.output(path, string(text))
}

func (a *app) variableTable(variables map[string]template.Variable) error {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		v := variables[name]
		rows = append(rows, []string{name, strconv.FormatBool(v.Required), v.DefaultValue, v.PresenceValue})
	}
	return table.WriteText(a.out, []string{"NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"}, rows)
}
