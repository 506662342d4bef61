package project

import (
	"maps"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/override"
	"github.com/compose-spec/compose-go/v2/paths"
	"github.com/compose-spec/compose-go/v2/transform"
	"github.com/compose-spec/compose-go/v2/validation"
	"go.yaml.in/yaml/v4"
)

// The quick way builds a model as compose-go's loader does, from the same
// parts in the same order, but shows each part only what it acts on: the
// parts compare the path of every key and item with dozens of patterns, which
// for 30 services takes some 40 ms, and seconds for a thousand. It is for
// files without include, extends, tags and the like. Whatever it does not
// know, and whatever is wrong, it leaves to the loader; tests hold both to
// the same result.

// quickModel returns the model, and any warnings of its own making, or
// errSlow or another error when the loader has to be asked.
func (l *loading) quickModel() (model map[string]any, warnings []string, err error) {
	if l.NoInterpolate || l.NoNormalize {
		return nil, nil, errSlow
	}
	var w walks
	docs := 0
	for _, f := range l.files {
		for _, doc := range f.docs {
			cfg, err := l.quickDocument(doc)
			if err != nil {
				return nil, nil, err
			}
			if docs++; docs > 1 {
				if cfg, err = override.Merge(model, cfg); err != nil {
					return nil, nil, err
				}
			}
			model, w = cfg, walks{}
			if err := w.only(unicity, model, onto(override.EnforceUnicity)); err != nil {
				return nil, nil, err
			}
			if !accepts(model) {
				return nil, nil, errSlow
			}
			if _, ok := model["version"]; ok {
				warnings = append(warnings, obsoleteVersion(f.name))
				delete(model, "version")
			}
			w = l.finishAll(model, docs)
			if err := w.only(canonical, model, func(m map[string]any) error {
				m, err := transform.Canonical(m, false)
				if err == nil {
					loader.OmitEmpty(m)
				}
				return err
			}); err != nil {
				return nil, nil, err
			}
			// Ports that were ranges may now stand twice.
			if err := w.only(unicity, model, onto(override.EnforceUnicity)); err != nil {
				return nil, nil, err
			}
		}
	}
	if len(model) == 0 {
		return nil, nil, errSlow
	}
	if model, err = l.complete(model, w); err != nil {
		return nil, nil, err
	}
	return model, warnings, nil
}

// quickDocument reads one document and interpolates it.
func (l *loading) quickDocument(doc *yaml.Node) (map[string]any, error) {
	if !plain(doc) {
		return nil, errSlow
	}
	var raw any
	if err := doc.Decode(&raw); err != nil {
		return nil, err
	}
	cfg, ok := raw.(map[string]any)
	if !ok || !quickKeys(cfg) {
		return nil, errSlow
	}
	out, err := l.interpolate(cfg, keyStateOf(casts()))
	if err != nil {
		return nil, err
	}
	cfg = out.(map[string]any)
	return cfg, l.countPorts(cfg)
}

// countPorts counts the ports of a document's services.
func (l *loading) countPorts(cfg map[string]any) error {
	services, _ := cfg["services"].(map[string]any)
	for _, s := range services {
		service, _ := s.(map[string]any)
		for _, key := range []string{"ports", "expose"} {
			list, _ := service[key].([]any)
			for _, e := range list {
				if text, ok := e.(string); ok {
					if err := l.countPort(text); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// complete fills in defaults, checks values, and resolves paths and bare
// environment entries.
func (l *loading) complete(model map[string]any, w walks) (map[string]any, error) {
	if err := w.only(defaults, model, onto(transform.SetDefaultValues)); err != nil {
		return nil, err
	}
	if err := w.only(values, model, validation.Validate); err != nil {
		return nil, err
	}
	if !l.NoResolvePaths {
		if err := w.only(resolved, model, func(m map[string]any) error {
			return paths.ResolveRelativePaths(m, l.folder, nil)
		}); err != nil {
			return nil, err
		}
	}
	loader.ResolveEnvironment(model, l.env)
	model["name"] = l.name
	return loader.Normalize(model, l.env)
}

// plain reports whether n has no tags of Compose's own.
func plain(n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		return plain(n.Alias)
	case n.Tag == "!reset" || n.Tag == "!override":
		return false
	}
	for _, c := range n.Content {
		if !plain(c) {
			return false
		}
	}
	return true
}

// quickKeys reports whether a document has only what the quick way knows at
// the top and in its services.
func quickKeys(cfg map[string]any) bool {
	for _, key := range []string{"include", "jobs"} {
		if _, ok := cfg[key]; ok {
			return false
		}
	}
	given, has := cfg["services"]
	services, ok := given.(map[string]any)
	if has && !ok {
		return false
	}
	for _, s := range services {
		service, ok := s.(map[string]any)
		if !ok {
			return false
		}
		for _, key := range []string{"extends", "develop", "x-develop", "pre_start"} {
			if _, ok := service[key]; ok {
				return false
			}
		}
	}
	return true
}

// part is a set of compose-go's parts.
type part uint8

const (
	unicity   part = 1 << iota // override.EnforceUnicity
	canonical                  // transform.Canonical and loader.OmitEmpty
	defaults                   // transform.SetDefaultValues
	values                     // validation.Validate
	resolved                   // paths.ResolveRelativePaths
	every     part = 0xff
)

// actsOn says which parts act on a key of a service. Keys not listed here are
// shown to every part.
var actsOn = map[string]part{
	"annotations": unicity, "cap_add": unicity, "cap_drop": unicity, "dns_opt": unicity,
	"dns_search": unicity, "environment": unicity, "expose": unicity, "labels": unicity,
	"links": unicity, "profiles": unicity, "sysctls": unicity, "tmpfs": unicity,

	"depends_on": canonical, "ulimits": canonical,
	"dns": unicity | canonical, "networks": unicity | canonical, "devices": unicity | canonical,
	"configs": unicity | canonical | defaults, "secrets": unicity | canonical | defaults,
	"ports":      unicity | canonical | defaults | values,
	"env_file":   unicity | canonical | resolved,
	"label_file": canonical | resolved,
	"volumes":    unicity | canonical | defaults | resolved,
	"build":      unicity | canonical | defaults | resolved,
	"deploy":     unicity | defaults | values,

	"attach": 0, "command": 0, "container_name": 0, "cpus": 0, "domainname": 0, "entrypoint": 0,
	"extra_hosts": 0, "group_add": 0, "healthcheck": 0, "hostname": 0, "image": 0, "init": 0, "ipc": 0,
	"logging": 0, "mac_address": 0, "mem_limit": 0, "network_mode": 0, "pid": 0, "pids_limit": 0,
	"platform": 0, "privileged": 0, "pull_policy": 0, "read_only": 0, "restart": 0, "scale": 0,
	"security_opt": 0, "shm_size": 0, "stdin_open": 0, "stop_grace_period": 0, "stop_signal": 0,
	"tty": 0, "user": 0, "volumes_from": 0, "working_dir": 0,
}

// walks are compose-go's walks over a model. It holds, by service, the keys
// that are finished without them.
type walks struct{ finished map[string]map[string]bool }

// finishAll completes short forms that need no walk. With a further document
// to come they are left as they are: what merges is the canonical form.
func (l *loading) finishAll(model map[string]any, docs int) walks {
	w := walks{finished: map[string]map[string]bool{}}
	services, _ := model["services"].(map[string]any)
	if docs < l.documents() {
		return w
	}
	for name, s := range services {
		if service, ok := s.(map[string]any); ok {
			w.finished[name] = l.finish(service)
		}
	}
	return w
}

func (l *loading) documents() int {
	n := 0
	for _, f := range l.files {
		n += len(f.docs)
	}
	return n
}

// shown reports whether a part has to see a value: lists of at most one text
// have nothing to make unique.
func (w walks) shown(service, key string, value any, p part) bool {
	acts, known := actsOn[key]
	if !known {
		return true
	}
	if acts&p == 0 || p != unicity && w.finished[service][key] {
		return false
	}
	if p == unicity {
		switch v := value.(type) {
		case []any:
			return len(v) > 1 || len(v) == 1 && !isText(v[0])
		case map[string]any:
			return acts != unicity // a mapping of names cannot have one twice
		}
	}
	return true
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

// only calls do with model reduced to the services' keys that p acts on, and
// changes model accordingly.
func (w walks) only(p part, model map[string]any, do func(map[string]any) error) error {
	services, ok := model["services"].(map[string]any)
	if !ok {
		return do(model)
	}
	reduced := make(map[string]any, len(services))
	for name, s := range services {
		service, ok := s.(map[string]any)
		if !ok {
			return errSlow
		}
		var part map[string]any
		for key, value := range service {
			if w.shown(name, key, value, p) {
				if part == nil {
					part = map[string]any{}
				}
				part[key] = value
			}
		}
		if part != nil {
			reduced[name] = part
		}
	}
	small := maps.Clone(model)
	maps.DeleteFunc(small, func(key string, _ any) bool { return strings.HasPrefix(key, "x-") })
	small["services"] = reduced
	if err := do(small); err != nil {
		return err
	}
	for name, s := range reduced {
		service, part := services[name].(map[string]any), s.(map[string]any)
		for key := range service {
			if _, kept := part[key]; !kept && w.shown(name, key, service[key], p) {
				delete(service, key)
			}
		}
		maps.Copy(service, part)
	}
	for key, value := range small {
		if key != "services" {
			model[key] = value
		}
	}
	return nil
}

// onto is for parts that return the model they were given, changed.
func onto(do func(map[string]any) (map[string]any, error)) func(map[string]any) error {
	return func(m map[string]any) error {
		_, err := do(m)
		return err
	}
}

func keyStateOf[T any](t *keyTree[T]) keyState[T] { return keyState[T]{t} }
