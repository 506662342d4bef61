package project

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Defaults of secrets and configs in a container.
// Source: Compose Specification, 05-services.md, configs and secrets.
const (
	secretsDir      = "/run/secrets"
	defaultFileMode = 0o444
)

// grant is a secret or config that a service is given.
type grant struct {
	kind  string // "secret" or "config"
	index int    // in the service's list
	types.FileReferenceConfig
	source string
}

func grants(s types.ServiceConfig) []grant {
	var list []grant
	for i, c := range s.Secrets {
		list = append(list, grant{"secret", i, types.FileReferenceConfig(c), c.Source})
	}
	for i, c := range s.Configs {
		list = append(list, grant{"config", i, types.FileReferenceConfig(c), c.Source})
	}
	return list
}

// file returns the file as the container sees it, without the host's path.
func (g grant) file() (File, error) {
	f := File{Kind: g.kind, Name: g.source, Mode: defaultFileMode}
	base := "/"
	if g.kind == "secret" {
		base = secretsDir
	}
	target := g.Target
	if target == "" {
		target = g.source
	}
	f.Target = path.Join(base, target)
	if path.IsAbs(target) {
		f.Target = path.Clean(target)
	}
	if f.Target == base || f.Target == "/" || !path.IsAbs(target) && !strings.HasPrefix(f.Target, strings.TrimSuffix(base, "/")+"/") || strings.ContainsFunc(target, unprintable) {
		return File{}, fmt.Errorf("invalid target %q", target)
	}
	var err error
	if f.UID, err = parseID("uid", g.UID); err != nil {
		return File{}, err
	}
	if f.GID, err = parseID("gid", g.GID); err != nil {
		return File{}, err
	}
	if g.Mode != nil {
		if *g.Mode < 0 || *g.Mode > 0o7777 {
			return File{}, fmt.Errorf("invalid mode %s", g.Mode.String())
		}
		f.Mode = uint32(*g.Mode) & 0o555 // no one writes to it
	}
	return f, nil
}

func parseID(what, text string) (uint32, error) {
	if text == "" {
		return 0, nil
	}
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a number", what, text)
	}
	return uint32(id), nil
}

// fileObject returns the top-level secret or config under name.
func (p *Project) fileObject(kind, name string) types.FileObjectConfig {
	if kind == "secret" {
		return types.FileObjectConfig(p.Secrets[name])
	}
	return types.FileObjectConfig(p.Configs[name])
}

// FileContents returns the content of the secrets and configs of service
// that do not come from a file, under "secret/NAME" and "config/NAME".
func (p *Project) FileContents(service string) (map[string][]byte, error) {
	contents := map[string][]byte{}
	for _, g := range grants(p.Services[service]) {
		object := p.fileObject(g.kind, g.source)
		key := g.kind + "/" + g.source
		switch {
		case object.File != "":
		case object.Environment != "":
			value, set := p.Environment[object.Environment]
			if !set {
				return nil, fmt.Errorf("%s %q of service %q: environment variable %q is not set", g.kind, g.source, service, object.Environment)
			}
			contents[key] = []byte(value)
		default:
			contents[key] = []byte(object.Content)
		}
	}
	return contents, nil
}
