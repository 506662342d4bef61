package project

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

func (l *loading) checkMounts(s types.ServiceConfig) error {
	mounts := map[string]string{}
	add := func(key, target string) error {
		if len(target) > 2 && target[1] == ':' && target[2] == '/' {
			return l.fail(s.Name, key, "%q is read as a path on a Windows drive: give the volume a name of two letters or more, or use the long form", target)
		}
		if !path.IsAbs(target) || strings.ContainsFunc(target, unprintable) {
			return l.fail(s.Name, key, "target %q is not an absolute path", target)
		}
		target = path.Clean(target)
		if target == "/" {
			return l.fail(s.Name, key, "the target must not be /")
		}
		if other, taken := mounts[target]; taken {
			return l.failAs(fmt.Sprintf("services.%s.%s: target %s already mounted as services.%s.%s", s.Name, key, target, s.Name, other), s.Name, key)
		}
		mounts[target] = key
		return nil
	}
	for i, text := range s.Tmpfs {
		target, _, _ := strings.Cut(text, ":")
		if err := add(fmt.Sprintf("tmpfs[%d]", i), target); err != nil {
			return err
		}
	}
	for i, v := range s.Volumes {
		key := fmt.Sprintf("volumes[%d]", i)
		if err := l.checkVolumeMount(s, key, v); err != nil {
			return err
		}
		if err := add(key, v.Target); err != nil {
			return err
		}
	}
	if err := l.checkAccessWords(s); err != nil {
		return err
	}
	for i, from := range s.VolumesFrom {
		rest := strings.TrimPrefix(from, types.ContainerPrefix)
		_, access, given := strings.Cut(rest, ":")
		if given && access != "ro" && access != "rw" {
			return l.fail(s.Name, fmt.Sprintf("volumes_from[%d]", i), "unknown access %q: ro or rw", access)
		}
	}
	return nil
}

func (l *loading) checkVolumeMount(s types.ServiceConfig, key string, v types.ServiceVolumeConfig) error {
	switch v.Type {
	case types.VolumeTypeBind:
		if v.Source == "" {
			return l.fail(s.Name, key, "a bind needs a source")
		}
		if strings.Contains(v.Source, "\x00") {
			return l.fail(s.Name, key, "invalid source %q", v.Source)
		}
	case types.VolumeTypeVolume:
		if v.Source != "" {
			if err := checkPathName("volume", v.Source); err != nil {
				return l.fail(s.Name, key, "%v", err)
			}
		}
	case types.VolumeTypeTmpfs:
		if v.Source != "" {
			return l.fail(s.Name, key, "a tmpfs has no source")
		}
	case types.VolumeTypeImage, types.VolumeTypeCluster, types.VolumeTypeNamedPipe:
		return l.fail(s.Name, key, "type %q is not supported yet", v.Type)
	default:
		return l.fail(s.Name, key, "unknown type %q", v.Type)
	}
	if v.Bind != nil && v.Bind.Propagation != "" && !slices.Contains(propagations, v.Bind.Propagation) {
		return l.fail(s.Name, key, "unknown propagation %q", v.Bind.Propagation)
	}
	for _, block := range []struct {
		kind string
		set  bool
	}{
		{types.VolumeTypeBind, v.Bind != nil}, {types.VolumeTypeVolume, v.Volume != nil},
		{types.VolumeTypeTmpfs, v.Tmpfs != nil}, {types.VolumeTypeImage, v.Image != nil},
	} {
		if block.set && block.kind != v.Type {
			l.warn("service %q: %s: options for type %q do nothing on type %q", s.Name, key, block.kind, v.Type)
		}
	}
	return nil
}

var propagations = []string{
	types.PropagationPrivate, types.PropagationRPrivate,
	types.PropagationShared, types.PropagationRShared,
	types.PropagationSlave, types.PropagationRSlave,
}

// accessWords are the options of a volume's short form.
var accessWords = append([]string{"rw", "ro", "z", "Z", "nocopy"}, propagations...)

// checkAccessWords finds unknown words in the short forms of a service's
// volumes, which the parser drops.
func (l *loading) checkAccessWords(s types.ServiceConfig) error {
	for _, text := range l.shortForms(s.Name, "volumes") {
		parts := strings.Split(text, ":")
		if len(parts) < 3 || strings.Contains(text, "$") {
			continue
		}
		for w := range strings.SplitSeq(parts[len(parts)-1], ",") {
			if !slices.Contains(accessWords, w) {
				return l.fail(s.Name, "volumes", "%q: unknown access word %q", text, w)
			}
		}
	}
	return nil
}

// shortForms returns the texts in the list of a service's key, as the files
// write them.
func (l *loading) shortForms(service, key string) []string {
	var texts []string
	for _, node := range l.written(service) {
		list := mapped(node, key)
		if list == nil {
			continue
		}
		for _, item := range list.Content {
			if item.Kind == scalarNode {
				texts = append(texts, item.Value)
			}
		}
	}
	return texts
}

// written returns a service as the files write it, one after the other.
func (l *loading) written(service string) []*yaml.Node {
	if l.services == nil {
		l.services = map[string][]*yaml.Node{}
		for _, f := range l.files {
			for _, doc := range f.docs {
				services := mapped(doc, "services")
				if services == nil || services.Kind != mappingNode {
					continue
				}
				for i := 0; i+1 < len(services.Content); i += 2 {
					name := services.Content[i].Value
					l.services[name] = append(l.services[name], services.Content[i+1])
				}
			}
		}
	}
	return l.services[service]
}
