package engine

import (
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// containerPrefix leads the id of the container whose namespace is joined.
const containerPrefix = "container:"

// joined returns the container that a mode joins, "" when it joins none.
func joined(mode string) string {
	id, ok := strings.CutPrefix(mode, containerPrefix)
	if !ok {
		return ""
	}
	return id
}

// namespaces sets what the container shares with the host or another
// container, and its host name. The path of a pid or ipc namespace that it
// joins is that of the other's process, which only Start knows.
func (b *specBuilder) namespaces() error {
	l := b.spec.Linux
	l.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	add := func(kind specs.LinuxNamespaceType, path string) {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
	switch {
	case b.Netns != "":
		add(specs.NetworkNamespace, b.Netns)
	case b.Record.NetworkMode == "none":
		add(specs.NetworkNamespace, "")
	}
	if b.Record.PIDMode != "host" {
		add(specs.PIDNamespace, "")
	}
	if b.Record.IPCMode != "host" {
		add(specs.IPCNamespace, "")
	}
	if b.Service.Uts != "host" {
		add(specs.UTSNamespace, "")
		b.spec.Hostname = hostname(b.specInput)
		b.spec.Domainname = b.Record.Domainname
	}
	private, err := privateCgroup(b.specInput)
	if err != nil {
		return err
	}
	if private {
		add(specs.CgroupNamespace, "")
	}
	b.sysctls()
	return nil
}

// hostname is the container's own, its short id by default; "" with the host's.
func hostname(in specInput) string {
	if in.Service.Uts == "host" {
		return ""
	}
	return firstOf(in.Record.Hostname, in.Service.Hostname, short(in.ID))
}

// privateCgroup tells whether the container sees its cgroup as the root: by
// default where cgroups are v2, as with Docker.
func privateCgroup(in specInput) (bool, error) {
	switch in.Service.Cgroup {
	case "":
		return in.host.CgroupV2 && !in.Service.Privileged, nil
	case "private":
		return true, nil
	case "host":
		return false, nil
	}
	return false, fmt.Errorf("cgroup: %q is neither host nor private", in.Service.Cgroup)
}

// sysctls sets those of the service, over two that let any user of a network
// namespace bind low ports and send pings.
// Source: Docker Engine 20.10, release notes, network defaults.
func (b *specBuilder) sysctls() {
	all := map[string]string{}
	if b.Netns != "" && joined(b.Record.NetworkMode) == "" {
		all["net.ipv4.ip_unprivileged_port_start"] = "0"
		all["net.ipv4.ping_group_range"] = "0 2147483647"
	}
	for k, v := range b.Service.Sysctls {
		all[k] = v
	}
	if len(all) > 0 {
		b.spec.Linux.Sysctl = all
	}
}
