package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"go.yaml.in/yaml/v4"
)

// Marshal returns the project as a Compose file, format "yaml" or "json".
// Loading the result gives the same project with the same hashes: what env
// files define stands under environment, and a "$" is doubled. A project that
// was loaded without interpolation is returned as it is written.
func Marshal(p *Project, format string) ([]byte, error) {
	if format != "yaml" && format != "json" && format != "" {
		return nil, fmt.Errorf("unsupported format %q", format)
	}
	if p.raw != nil {
		return marshalRaw(p.raw, format)
	}
	out := *p.Project
	out.Services = maps.Clone(out.Services)
	for name, s := range out.Services {
		if !p.keepEnvFiles {
			s.EnvFiles = nil
		}
		out.Services[name] = s
	}
	var text []byte
	var err error
	if format == "json" {
		text, err = out.MarshalJSON()
	} else {
		text, err = out.MarshalYAML()
	}
	if err != nil {
		return nil, fmt.Errorf("print project: %w", err)
	}
	return bytes.ReplaceAll(text, []byte("$"), []byte("$$")), nil
}

func marshalRaw(model map[string]any, format string) ([]byte, error) {
	if format == "json" {
		return json.MarshalIndent(model, "", "  ")
	}
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(model); err != nil {
		return nil, fmt.Errorf("print project: %w", err)
	}
	return buf.Bytes(), nil
}
