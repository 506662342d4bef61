package project

import (
	"net"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
)

// The usual keys with short forms are completed here, one by one, rather than
// by compose-go's walks over all of the model; the texts are parsed by
// compose-go still. What is unusual is left to the walks.

// finish completes the short forms of a service as canonical, defaults,
// values and resolved would, and returns the keys that those parts need not
// see any more.
func (l *loading) finish(service map[string]any) (finished map[string]bool) {
	for _, f := range []struct {
		key string
		do  func(any) (any, bool)
	}{
		{"depends_on", finishDependsOn},
		{"networks", finishNetworks},
		{"ports", finishPorts},
		{"volumes", l.finishVolumes},
		{"env_file", l.finishEnvFiles},
	} {
		value, set := service[f.key]
		if !set || value == nil {
			continue
		}
		out, ok := f.do(value)
		if !ok {
			continue
		}
		service[f.key] = out
		if finished == nil {
			finished = map[string]bool{}
		}
		finished[f.key] = true
	}
	return finished
}

func finishDependsOn(v any) (any, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make(map[string]any, len(list))
	for _, e := range list {
		name, ok := e.(string)
		if !ok {
			return nil, false
		}
		out[name] = map[string]any{"condition": ConditionStarted, "required": true}
	}
	return out, true
}

func finishNetworks(v any) (any, bool) {
	list, ok := v.([]any)
	if !ok {
		return v, true
	}
	out := make(map[string]any, len(list))
	for _, e := range list {
		name, ok := e.(string)
		if !ok {
			return nil, false
		}
		out[name] = nil
	}
	return out, true
}

func finishPorts(v any) (any, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		var text string
		switch e := e.(type) {
		case string:
			text = e
		case int:
			text = strconv.Itoa(e)
		default:
			return nil, false
		}
		ports, err := types.ParsePortConfig(text)
		if err != nil {
			return nil, false
		}
		for _, p := range ports {
			if p.Target == 0 || p.HostIP != "" && net.ParseIP(p.HostIP) == nil {
				return nil, false
			}
			port := map[string]any{"target": p.Target, "mode": p.Mode, "protocol": p.Protocol}
			setText(port, "host_ip", p.HostIP)
			setText(port, "published", p.Published)
			out = append(out, port)
		}
	}
	return out, true
}

func setText(m map[string]any, key, value string) {
	if value != "" {
		m[key] = value
	}
}

func (l *loading) finishVolumes(v any) (any, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		text, ok := e.(string)
		if !ok {
			return nil, false
		}
		parsed, err := format.ParseVolume(text)
		if err != nil {
			return nil, false
		}
		volume := map[string]any{"type": parsed.Type, "target": path.Clean(parsed.Target)}
		if parsed.Target == "" {
			return nil, false
		}
		setText(volume, "source", parsed.Source)
		if parsed.ReadOnly {
			volume["read_only"] = true
		}
		if b := parsed.Bind; b != nil {
			bind := map[string]any{"create_host_path": true}
			setText(bind, "selinux", b.SELinux)
			setText(bind, "propagation", b.Propagation)
			volume["bind"] = bind
		}
		if o := parsed.Volume; o != nil {
			block := map[string]any{}
			if o.NoCopy {
				block["nocopy"] = true
			}
			volume["volume"] = block
		}
		if parsed.Type == types.VolumeTypeBind && !l.NoResolvePaths {
			source, ok := l.plainPath(parsed.Source)
			if !ok {
				return nil, false
			}
			volume["source"] = source
		}
		out = append(out, volume)
	}
	return out, true
}

// plainPath resolves a path below the project folder, if it is one without
// home folders and other systems' forms.
func (l *loading) plainPath(p string) (string, bool) {
	switch {
	case path.IsAbs(p):
		return p, true
	case p == "" || p[0] == '~' || strings.ContainsAny(p, `\:`):
		return "", false
	}
	return filepath.Join(l.folder, p), true
}

func (l *loading) finishEnvFiles(v any) (any, bool) {
	list, ok := v.([]any)
	if text, single := v.(string); single {
		list, ok = []any{text}, true
	}
	if !ok {
		return nil, false
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		text, ok := e.(string)
		if !ok {
			return nil, false
		}
		if !l.NoResolvePaths {
			if text, ok = l.plainPath(text); !ok {
				return nil, false
			}
		}
		out = append(out, map[string]any{"path": text, "required": true})
	}
	return out, true
}
