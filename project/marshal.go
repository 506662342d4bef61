package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"github.com/compose-first/compose/internal/escape"
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
		if text, err = out.MarshalYAML(); err == nil {
			text, err = quoteUnseen(text)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("print project: %w", err)
	}
	return bytes.ReplaceAll(text, []byte("$"), []byte("$$")), nil
}

func marshalRaw(model map[string]any, format string) ([]byte, error) {
	model = withoutValues(model)
	if format == "json" {
		return json.MarshalIndent(model, "", "  ")
	}
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(model); err != nil {
		return nil, fmt.Errorf("print project: %w", err)
	}
	return quoteUnseen(buf.Bytes())
}

// quoteUnseen rewrites YAML so that characters which do not show stand as
// escapes, for which a text must be in double quotes.
func quoteUnseen(text []byte) ([]byte, error) {
	unseen := func(r rune) bool { return r != '\n' && !escape.Shows(r) }
	if bytes.IndexFunc(text, unseen) < 0 {
		return text, nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("print project: %w", err)
	}
	var quote func(*yaml.Node)
	quote = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && strings.ContainsFunc(n.Value, unseen) {
			n.Style = yaml.DoubleQuotedStyle
		}
		for _, c := range n.Content {
			quote(c)
		}
	}
	quote(&doc)
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, fmt.Errorf("print project: %w", err)
	}
	var out bytes.Buffer
	for _, r := range buf.String() {
		switch {
		case !unseen(r):
			out.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&out, `\U%08x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes(), nil
}

// withoutValues leaves out what the variables of secrets and configs hold,
// which the parser has put beside their names.
func withoutValues(model map[string]any) map[string]any {
	out := maps.Clone(model)
	for _, section := range []string{"secrets", "configs"} {
		objects, ok := out[section].(map[string]any)
		if !ok {
			continue
		}
		clean := make(map[string]any, len(objects))
		for name, o := range objects {
			object, ok := o.(map[string]any)
			if ok && object["environment"] != nil {
				object = maps.Clone(object)
				delete(object, types.SecretConfigXValue)
				delete(object, "content")
				o = object
			}
			clean[name] = o
		}
		out[section] = clean
	}
	return out
}
