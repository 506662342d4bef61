package engine

import (
	"fmt"
	"path"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/compose-first/compose/internal/layout"
)

// specInput is all that decides an OCI spec: building one asks nobody.
type specInput struct {
	CreateConfig
	root     layout.Root
	host     hostFacts
	who      identity
	initPath string

	joinedLabel string // SELinux label of the container whose pid or ipc namespace is joined
}

// specBuilder fills a spec subject by subject. Each of its methods, one a
// file, reads the input and sets its own part.
type specBuilder struct {
	specInput
	spec     *specs.Spec
	warnings []string
}

// groupAnnotation makes the runc shim serve several containers.
// Source: containerd, core/runtime/v2/README.md.
const groupAnnotation = "io.containerd.runc.v2.group"

// buildSpec makes the OCI spec of a container, and says what of its service
// the host cannot give.
func buildSpec(in specInput) (*specs.Spec, []string, error) {
	b := &specBuilder{specInput: in, spec: &specs.Spec{
		Version:     specs.Version,
		Root:        &specs.Root{Path: "rootfs", Readonly: in.Service.ReadOnly},
		Process:     &specs.Process{},
		Linux:       &specs.Linux{CgroupsPath: cgroupPath(in)},
		Annotations: annotations(in),
	}}
	for _, fill := range []func() error{
		b.process, b.user, b.capabilities, b.limits,
		b.namespaces, b.mounts, b.init, b.devices, b.resources, b.security,
	} {
		if err := fill(); err != nil {
			return nil, b.warnings, err
		}
	}
	return b.spec, b.warnings, nil
}

func (b *specBuilder) warn(format string, args ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf(format, args...))
}

// cgroupPath is /compose[-TAG]/ID, or below the service's own parent.
func cgroupPath(in specInput) string {
	parent := in.Service.CgroupParent
	if parent == "" {
		parent = in.root.Cgroup()
	}
	return path.Join("/", parent, in.ID)
}

func annotations(in specInput) map[string]string {
	all := map[string]string{}
	for k, v := range in.Service.Annotations {
		all[k] = v
	}
	if in.ShimGroup != "" {
		all[groupAnnotation] = in.ShimGroup
	}
	return all
}
