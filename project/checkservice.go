package project

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
)

// checkServices checks the values of all active services' keys. Images and
// the host are not looked at: what depends on them is found when a container
// is made.
func (l *loading) checkServices(context.Context) error {
	if l.NoInterpolate {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(l.project.Services)) {
		s := l.project.Services[name]
		for _, check := range []func(types.ServiceConfig) error{
			l.checkImage, l.checkScale, l.checkLimits, l.checkLife, l.checkHealth, l.checkLabels,
			l.checkHost, l.checkNetworking, l.checkModes, l.checkPrivileges, l.checkMounts, l.checkGrants, l.checkLogging,
		} {
			if err := check(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loading) checkImage(s types.ServiceConfig) error {
	if s.Image != "" {
		if err := checkReference(s.Image); err != nil {
			return l.fail(s.Name, "image", "%v", err)
		}
	}
	policy, _, err := s.GetPullPolicy()
	if err != nil {
		return l.fail(s.Name, "pull_policy", "unknown pull policy %q", s.PullPolicy)
	}
	if policy == types.PullPolicyBuild && s.Build == nil {
		return l.fail(s.Name, "pull_policy", "%q needs a build section", s.PullPolicy)
	}
	if s.PullRefreshAfter != "" {
		var every types.ServiceConfig
		every.PullPolicy = "every_" + s.PullRefreshAfter // the same form
		if _, _, err := every.GetPullPolicy(); err != nil {
			return l.fail(s.Name, "pull_refresh_after", "invalid duration %q", s.PullRefreshAfter)
		}
	}
	if s.PullRefreshAfter != "" && s.PullPolicy != types.PullPolicyRefresh {
		l.warn("service %q: pull_refresh_after does nothing without pull_policy: %s", s.Name, types.PullPolicyRefresh)
	}
	if s.Build == nil {
		return nil
	}
	for i, tag := range s.Build.Tags {
		if err := checkReference(tag); err != nil {
			return l.fail(s.Name, fmt.Sprintf("build.tags[%d]", i), "%v", err)
		}
	}
	return nil
}

// checkReference checks the name of an image. The parser takes its time with
// long ones: a name has at most 255 characters, and a tag or digest follows.
func checkReference(image string) error {
	if len(image) > 1024 {
		return fmt.Errorf("invalid reference %.40q…: longer than 1024 characters", image)
	}
	if _, err := reference.ParseDockerRef(image); err != nil {
		return fmt.Errorf("invalid reference %q: %w", image, err)
	}
	return nil
}

func (l *loading) checkScale(s types.ServiceConfig) error {
	var replicas *int
	if s.Deploy != nil {
		replicas = s.Deploy.Replicas
	}
	if replicas != nil && *replicas < 0 {
		return l.failAs(fmt.Sprintf("services.%s.deploy.replicas: must be greater than or equal to 0", s.Name), s.Name, "deploy.replicas")
	}
	if s.Deploy != nil {
		switch s.Deploy.Mode {
		case "", "replicated":
		case "global":
			if replicas != nil && *replicas != 1 {
				return l.fail(s.Name, "deploy.replicas", "a service of mode global has exactly one container here")
			}
		default:
			return l.fail(s.Name, "deploy.mode", "unknown mode %q", s.Deploy.Mode)
		}
	}
	if s.GetScale() > maxReplicas {
		key := "scale"
		if s.Scale == nil {
			key = "deploy.replicas"
		}
		return l.fail(s.Name, key, "%d is more than %d", s.GetScale(), maxReplicas)
	}
	if s.Scale == nil {
		return nil
	}
	if *s.Scale < 0 {
		return l.failAs(fmt.Sprintf("services.%s.scale: must be greater than or equal to 0", s.Name), s.Name, "scale")
	}
	if _, fromCommand := l.Scale[s.Name]; replicas != nil && *replicas != *s.Scale && !fromCommand {
		return l.failAs(fmt.Sprintf("services.%s: can't set distinct values on 'scale' and 'deploy.replicas': %v", s.Name, errInvalid), s.Name, "scale")
	}
	return nil
}

// reservedLabels is the prefix of the labels that are set here.
const reservedLabels = "com.docker.compose."

func (l *loading) checkLabels(s types.ServiceConfig) error {
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		switch {
		case strings.HasPrefix(name, reservedLabels):
			return l.fail(s.Name, "labels", "label %q: the prefix %s is reserved", name, reservedLabels)
		case name == "" || strings.ContainsFunc(name, unprintable):
			return l.fail(s.Name, "labels", "invalid label name %q", name)
		}
	}
	return nil
}

// checkGrants checks the secrets and configs that a service is given.
func (l *loading) checkGrants(s types.ServiceConfig) error {
	targets := map[string]string{}
	for _, f := range grants(s) {
		key := fmt.Sprintf("%ss[%d]", f.kind, f.index)
		file, err := f.file()
		if err != nil {
			return l.fail(s.Name, key, "%v", err)
		}
		if other, taken := targets[file.Target]; taken {
			return l.fail(s.Name, key, "target %s is already that of %s", file.Target, other)
		}
		targets[file.Target] = key
		object := l.project.fileObject(f.kind, f.source)
		switch {
		case bool(object.External):
			return l.fail(s.Name, key, "%s %q is external, and there is no store of %ss here", f.kind, f.source, f.kind)
		case object.File == "" && object.Environment == "" && object.Content == "" && object.Driver != "":
			return l.fail(s.Name, key, "%s %q comes from driver %q, which is not supported", f.kind, f.source, object.Driver)
		}
	}
	return nil
}

func (l *loading) checkLogging(s types.ServiceConfig) error {
	if _, err := parseLog(s.Logging); err != nil {
		return l.fail(s.Name, "logging", "%v", err)
	}
	return nil
}
