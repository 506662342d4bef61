package project

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// errInvalid ends the text of a fault in how parts of a project refer to each
// other, as users know it from Docker Compose.
var errInvalid = errors.New("invalid compose project")

// fail returns the fault of a service's key, with the line of the key.
func (l *loading) fail(service, key, format string, args ...any) error {
	return l.failAs(fmt.Sprintf("service %q: %s: %s", service, key, fmt.Sprintf(format, args...)), service, key)
}

// failAs is fail with a text that names service and key itself.
func (l *loading) failAs(msg, service, key string) error {
	at := locate(l.files, "services."+service+"."+key)
	return &Error{File: at.file, Line: at.line, Service: service, Key: key, Msg: clip(msg)}
}

// failTop returns the fault of a key outside the services.
func (l *loading) failTop(key, format string, args ...any) error {
	at := locate(l.files, key)
	return &Error{File: at.file, Line: at.line, Key: key, Msg: clip(key + ": " + fmt.Sprintf(format, args...))}
}

// checkNames checks the keys that become names of containers, networks and
// volumes, and so reach paths and terminals.
func (l *loading) checkNames(context.Context) error {
	p := l.project
	all := p.AllServices()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !serviceForm.MatchString(name) || len(name) > 200 {
			return l.failTop("services."+name, "invalid service name %q: must match [a-zA-Z0-9._-]+", name)
		}
		for _, profile := range all[name].Profiles {
			if !profileForm.MatchString(profile) {
				return l.fail(name, "profiles", "invalid profile name %q: must match [a-zA-Z0-9][a-zA-Z0-9_.-]+", profile)
			}
		}
	}
	owner := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		cn := s.ContainerName
		if cn == "" {
			continue
		}
		if !containerForm.MatchString(cn) || len(cn) > 200 {
			return l.fail(name, "container_name", "invalid container name %q: must match [a-zA-Z0-9][a-zA-Z0-9_.-]+", cn)
		}
		if other, taken := owner[cn]; taken {
			return l.fail(name, "container_name", "%q is already the container name of service %q", cn, other)
		}
		owner[cn] = name
		if s.GetScale() > 1 {
			key := "scale"
			if s.Scale == nil {
				key = "deploy.replicas"
			}
			return l.failAs(fmt.Sprintf("services.%s: can't set container_name and %s as container name must be unique: %v", name, key, errInvalid), name, "container_name")
		}
	}
	return nil
}

// checkReferences checks that all that services name is there.
func (l *loading) checkReferences(context.Context) error {
	if l.NoConsistency || l.NoInterpolate {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(l.project.Services)) {
		for _, check := range []func(types.ServiceConfig) error{
			l.checkSource, l.checkDependsOn, l.checkServiceModes, l.checkResources,
		} {
			if err := check(l.project.Services[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkSource checks that a service has an image or a build.
func (l *loading) checkSource(s types.ServiceConfig) error {
	if s.Build == nil && s.Image == "" && s.Provider == nil {
		return l.failAs(fmt.Sprintf("service %q has neither an image nor a build context specified: %v", s.Name, errInvalid), s.Name, "")
	}
	if s.Build != nil && s.Build.DockerfileInline != "" && s.Build.Dockerfile != "" {
		return l.failAs(fmt.Sprintf("service %q declares mutually exclusive dockerfile and dockerfile_inline: %v", s.Name, errInvalid), s.Name, "build.dockerfile_inline")
	}
	return nil
}

// checkDependsOn checks that explicit dependencies exist and, unless they are
// not required, are active.
func (l *loading) checkDependsOn(s types.ServiceConfig) error {
	for _, target := range slices.Sorted(maps.Keys(s.DependsOn)) {
		d := s.DependsOn[target]
		key := "depends_on." + target
		if target == s.Name {
			return l.failAs(fmt.Sprintf("dependency cycle detected: %s -> %s", target, target), s.Name, key)
		}
		switch d.Condition {
		case "", ConditionStarted, ConditionHealthy, ConditionCompleted:
		default:
			return l.fail(s.Name, key+".condition", "unknown condition %q", d.Condition)
		}
		if _, active := l.project.Services[target]; active {
			continue
		}
		hint, exists := l.inactive(target)
		if exists && !d.Required {
			continue
		}
		return l.failAs(fmt.Sprintf("service %q depends on undefined service %q: %v%s", s.Name, target, errInvalid, hint), s.Name, key)
	}
	return nil
}

// inactive reports whether a service is there but inactive, and how to
// activate it.
func (l *loading) inactive(name string) (hint string, exists bool) {
	s, exists := l.project.DisabledServices[name]
	if !exists {
		return "", false
	}
	return fmt.Sprintf(" (it is inactive; enabled by profile %s)", strings.Join(s.Profiles, ", ")), true
}

// checkServiceModes checks the services that links, volumes_from and the
// service: modes name.
func (l *loading) checkServiceModes(s types.ServiceConfig) error {
	type reference struct{ key, target string }
	var refs []reference
	for i, link := range s.Links {
		target, _, _ := strings.Cut(link, ":")
		refs = append(refs, reference{fmt.Sprintf("links[%d]", i), target})
	}
	for i, from := range s.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			target, _, _ := strings.Cut(from, ":")
			refs = append(refs, reference{fmt.Sprintf("volumes_from[%d]", i), target})
		}
	}
	for _, mode := range []struct{ key, value string }{{"network_mode", s.NetworkMode}, {"ipc", s.Ipc}, {"pid", s.Pid}} {
		if target, ok := strings.CutPrefix(mode.value, types.ServicePrefix); ok {
			refs = append(refs, reference{mode.key, target})
		}
	}
	for _, r := range refs {
		if r.target == s.Name {
			return l.fail(s.Name, r.key, "a service cannot name itself")
		}
		if _, active := l.project.Services[r.target]; !active {
			hint, _ := l.inactive(r.target)
			return l.failAs(fmt.Sprintf("service %q depends on undefined service %q: %s: %v%s", s.Name, r.target, r.key, errInvalid, hint), s.Name, r.key)
		}
	}
	return nil
}

// checkResources checks the networks, volumes, configs, secrets and models
// that a service names.
func (l *loading) checkResources(s types.ServiceConfig) error {
	p := l.project
	undefined := func(kind, name, key string) error {
		return l.failAs(fmt.Sprintf("service %q refers to undefined %s %s: %v", s.Name, kind, name, errInvalid), s.Name, key)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Networks)) {
		// Without normalisation the implicit network is not spelled out.
		if _, ok := p.Networks[name]; !ok && name != "default" {
			return undefined("network", name, "networks."+name)
		}
	}
	for i, v := range s.Volumes {
		if _, ok := p.Volumes[v.Source]; !ok && v.Type == types.VolumeTypeVolume && v.Source != "" {
			return undefined("volume", v.Source, fmt.Sprintf("volumes[%d]", i))
		}
	}
	for i, c := range s.Configs {
		if _, ok := p.Configs[c.Source]; !ok {
			return undefined("config", c.Source, fmt.Sprintf("configs[%d]", i))
		}
	}
	for i, c := range s.Secrets {
		if _, ok := p.Secrets[c.Source]; !ok {
			return undefined("secret", c.Source, fmt.Sprintf("secrets[%d]", i))
		}
	}
	if s.Build != nil {
		for i, c := range s.Build.Secrets {
			if _, ok := p.Secrets[c.Source]; !ok {
				return undefined("build secret", c.Source, fmt.Sprintf("build.secrets[%d]", i))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Models)) {
		if _, ok := p.Models[name]; !ok {
			return undefined("model", name, "models."+name)
		}
	}
	return nil
}
