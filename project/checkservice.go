package project

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/moby/sys/signal"
	"go.yaml.in/yaml/v4"
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

// minMemory is the least memory limit a container starts with.
// Source: Docker Engine, minimum memory limit.
const minMemory = 6 << 20

// Bounds of cpu_period and cpu_quota in microseconds.
// Source: Linux, kernel/sched/core.c, min_cfs_quota_period and max_cfs_quota_period.
const (
	minCPUPeriod = 1000
	maxCPUPeriod = 1000000
)

func (l *loading) checkLimits(s types.ServiceConfig) error {
	var limits types.Resource
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		limits = *s.Deploy.Resources.Limits
	}
	memory := s.MemLimit
	if memory == 0 {
		memory = limits.MemoryBytes
	}
	distinct := func(key, below string) error {
		return l.failAs(fmt.Sprintf("services.%s: can't set distinct values on '%s' and 'deploy.resources.limits.%s': %v", s.Name, key, below, errInvalid), s.Name, key)
	}
	switch {
	case s.CPUS < 0:
		return l.fail(s.Name, "cpus", "must not be negative")
	case s.CPUS != 0 && limits.NanoCPUs != 0 && limits.NanoCPUs.Value() != s.CPUS:
		return distinct("cpus", "cpus")
	case s.CPUS != 0 && (s.CPUPeriod != 0 || s.CPUQuota != 0):
		return l.fail(s.Name, "cpus", "cannot be used together with cpu_period or cpu_quota")
	case s.MemLimit != 0 && s.MemLimit < minMemory:
		return l.fail(s.Name, "mem_limit", "%d bytes are less than the minimum of 6 MiB", s.MemLimit)
	case s.MemLimit != 0 && limits.MemoryBytes != 0 && limits.MemoryBytes != s.MemLimit:
		return distinct("mem_limit", "memory")
	case s.MemLimit != 0 && s.MemReservation > s.MemLimit:
		return l.fail(s.Name, "mem_reservation", "must not be above mem_limit")
	case s.PidsLimit < -1:
		return l.fail(s.Name, "pids_limit", "must be -1 (no limit) or more")
	case s.PidsLimit != 0 && limits.Pids != 0 && limits.Pids != s.PidsLimit:
		return distinct("pids_limit", "pids")
	case s.CPUPeriod != 0 && (s.CPUPeriod < minCPUPeriod || s.CPUPeriod > maxCPUPeriod):
		return l.fail(s.Name, "cpu_period", "%d is not within %d to %d microseconds", s.CPUPeriod, minCPUPeriod, maxCPUPeriod)
	case s.CPUQuota != 0 && s.CPUQuota != -1 && s.CPUQuota < minCPUPeriod:
		return l.fail(s.Name, "cpu_quota", "%d is neither -1 (no limit) nor at least %d microseconds", s.CPUQuota, minCPUPeriod)
	case s.CPURTPeriod != 0 && s.CPURTRuntime > s.CPURTPeriod:
		return l.fail(s.Name, "cpu_rt_runtime", "must not be above cpu_rt_period")
	case s.MemSwapLimit > 0 && memory == 0:
		return l.fail(s.Name, "memswap_limit", "needs mem_limit, which it includes")
	case s.MemSwapLimit > 0 && s.MemSwapLimit < memory:
		return l.fail(s.Name, "memswap_limit", "must not be below mem_limit, which it includes")
	case s.MemSwappiness < 0 || s.MemSwappiness > 100:
		return l.fail(s.Name, "mem_swappiness", "%d is not within 0 to 100", s.MemSwappiness)
	case s.OomScoreAdj < -1000 || s.OomScoreAdj > 1000:
		return l.fail(s.Name, "oom_score_adj", "%d is not within -1000 to 1000", s.OomScoreAdj)
	case s.CPUShares < 0:
		return l.fail(s.Name, "cpu_shares", "must not be negative")
	}
	if err := l.checkBlockIO(s); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		key := "ulimits." + name
		u := s.Ulimits[name]
		switch {
		case !slices.Contains(ulimitNames, name):
			return l.fail(s.Name, key, "unknown limit %q", name)
		case u != nil && u.Hard != -1 && (u.Soft > u.Hard || u.Soft == -1 && u.Hard != -1 && u.Single == 0 && u.Hard != 0):
			return l.fail(s.Name, key, "soft limit %d is above hard limit %d", u.Soft, u.Hard)
		}
	}
	return nil
}

// checkBlockIO checks the weights of block I/O; 0 is none.
func (l *loading) checkBlockIO(s types.ServiceConfig) error {
	if s.BlkioConfig == nil {
		return nil
	}
	good := func(weight uint16) bool { return weight == 0 || weight >= 10 && weight <= 1000 }
	if w := s.BlkioConfig.Weight; !good(w) {
		return l.fail(s.Name, "blkio_config.weight", "%d is not within 10 to 1000", w)
	}
	for i, d := range s.BlkioConfig.WeightDevice {
		if !good(d.Weight) {
			return l.fail(s.Name, fmt.Sprintf("blkio_config.weight_device[%d]", i), "%d is not within 10 to 1000", d.Weight)
		}
	}
	return nil
}

// ulimitNames are the limits of getrlimit(2), without RLIMIT_.
var ulimitNames = []string{
	"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice",
	"nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
}

// checkLife checks what a container starts with, and how it is restarted and stopped.
func (l *loading) checkLife(s types.ServiceConfig) error {
	if _, err := parseRestart(s.Restart); err != nil {
		return l.fail(s.Name, "restart", "%v", err)
	}
	if s.StopSignal != "" && !strings.Contains(s.StopSignal, "\x00") {
		if _, err := signal.ParseSignal(s.StopSignal); err != nil {
			return l.fail(s.Name, "stop_signal", "unknown signal %q", s.StopSignal)
		}
	}
	if s.StopGracePeriod != nil && *s.StopGracePeriod < 0 {
		return l.fail(s.Name, "stop_grace_period", "must not be negative")
	}
	if s.WorkingDir != "" && !path.IsAbs(s.WorkingDir) {
		return l.fail(s.Name, "working_dir", "%q is not an absolute path", s.WorkingDir)
	}
	if _, set := s.Environment[""]; set {
		return l.fail(s.Name, "environment", "a variable without a name")
	}
	return nil
}

// parseRestart reads "no", "always", "unless-stopped" or "on-failure[:N]"; ""
// is "no".
func parseRestart(s string) (Restart, error) {
	name, limit, bounded := strings.Cut(s, ":")
	switch {
	case s == "" || s == RestartNo:
		return Restart{Name: RestartNo}, nil
	case s == RestartAlways || s == RestartUnlessStopped || s == RestartOnFailure:
		return Restart{Name: s}, nil
	case name == RestartOnFailure && bounded:
		n, err := strconv.ParseUint(limit, 10, 31)
		if err != nil {
			return Restart{}, fmt.Errorf("invalid number of restarts %q", limit)
		}
		return Restart{Name: name, Max: int(n)}, nil
	}
	return Restart{}, fmt.Errorf("unknown restart policy %q", s)
}

func (l *loading) checkHealth(s types.ServiceConfig) error {
	h := s.HealthCheck
	if h == nil {
		return nil
	}
	if len(h.Test) > 0 {
		switch h.Test[0] {
		case "NONE":
		case "CMD", "CMD-SHELL":
			if len(h.Test) < 2 {
				return l.fail(s.Name, "healthcheck.test", "%s needs a command", h.Test[0])
			}
		default:
			return l.failAs(fmt.Sprintf(`service %q: healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"`, s.Name), s.Name, "healthcheck.test")
		}
	}
	for _, d := range []struct {
		key   string
		value *types.Duration
	}{{"interval", h.Interval}, {"timeout", h.Timeout}, {"start_period", h.StartPeriod}, {"start_interval", h.StartInterval}} {
		if d.value != nil && *d.value < 0 {
			return l.fail(s.Name, "healthcheck."+d.key, "must not be negative")
		}
	}
	if h.StartInterval != nil && h.StartPeriod == nil {
		return l.fail(s.Name, "healthcheck.start_interval", "requires healthcheck.start_period to be set")
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

// checkHost checks the names and addresses that a container is told.
func (l *loading) checkHost(s types.ServiceConfig) error {
	for _, n := range []struct{ key, value string }{{"hostname", s.Hostname}, {"domainname", s.DomainName}} {
		if n.value == "" {
			continue
		}
		if err := checkHostname(n.value); err != nil {
			return l.fail(s.Name, n.key, "%v", err)
		}
		if s.Uts == "host" {
			return l.fail(s.Name, n.key, "cannot be set with uts: host")
		}
	}
	if len(s.Hostname) > 63 {
		return l.fail(s.Name, "hostname", "%q is longer than 63 characters", s.Hostname)
	}
	for i, server := range s.DNS {
		if _, err := parseAddress(server); err != nil {
			return l.fail(s.Name, fmt.Sprintf("dns[%d]", i), "%v", err)
		}
	}
	for _, words := range []struct {
		key  string
		list []string
	}{{"dns_search", s.DNSSearch}, {"dns_opt", s.DNSOpts}} {
		for i, w := range words.list {
			if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r == ' ' || unprintable(r) }) {
				return l.fail(s.Name, fmt.Sprintf("%s[%d]", words.key, i), "invalid word %q", w)
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(s.ExtraHosts)) {
		if err := checkHostname(host); err != nil {
			return l.fail(s.Name, "extra_hosts", "%v", err)
		}
		for _, address := range s.ExtraHosts[host] {
			if _, err := parseAddress(address); err != nil && address != hostGateway {
				return l.fail(s.Name, "extra_hosts", "host %q: %v", host, err)
			}
		}
	}
	return nil
}

// hostGateway stands for an address of the host in extra_hosts.
const hostGateway = "host-gateway"

// checkNetworking checks ports and a service's side of its networks.
func (l *loading) checkNetworking(s types.ServiceConfig) error {
	for i, port := range s.Ports {
		if _, err := parsePort(port); err != nil {
			return l.fail(s.Name, fmt.Sprintf("ports[%d]", i), "%v", err)
		}
	}
	for i, text := range s.Expose {
		if _, err := parseExpose(text); err != nil {
			return l.fail(s.Name, fmt.Sprintf("expose[%d]", i), "%v", err)
		}
	}
	if err := l.checkMAC(s, "mac_address", s.MacAddress); err != nil {
		return err
	}
	interfaces := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Networks)) {
		n := s.Networks[name]
		if n == nil {
			continue
		}
		key := "networks." + name
		if err := l.checkMAC(s, key+".mac_address", n.MacAddress); err != nil {
			return err
		}
		for i, alias := range n.Aliases {
			if err := checkHostname(alias); err != nil {
				return l.fail(s.Name, fmt.Sprintf("%s.aliases[%d]", key, i), "%v", err)
			}
		}
		if n.InterfaceName != "" {
			if !interfaceForm.MatchString(n.InterfaceName) || strings.ContainsFunc(n.InterfaceName, unprintable) || n.InterfaceName == "lo" || strings.HasPrefix(n.InterfaceName, ".") {
				return l.fail(s.Name, key+".interface_name", "invalid interface name %q", n.InterfaceName)
			}
			if other, taken := interfaces[n.InterfaceName]; taken {
				return l.fail(s.Name, key+".interface_name", "%q is already the interface on network %q", n.InterfaceName, other)
			}
			interfaces[n.InterfaceName] = name
		}
		if err := l.checkStatic(s, name, "ipv4_address", n.Ipv4Address, true); err != nil {
			return err
		}
		if err := l.checkStatic(s, name, "ipv6_address", n.Ipv6Address, false); err != nil {
			return err
		}
	}
	return nil
}

func (l *loading) checkMAC(s types.ServiceConfig, key, mac string) error {
	if mac == "" {
		return nil
	}
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 || hw[0]&1 != 0 {
		return l.fail(s.Name, key, "invalid MAC address %q", mac)
	}
	if s.GetScale() > 1 {
		return l.fail(s.Name, key, "cannot be set on a service with %d replicas", s.GetScale())
	}
	return nil
}

// checkStatic checks a fixed address against the subnets of its network.
func (l *loading) checkStatic(s types.ServiceConfig, network, field, address string, v4 bool) error {
	if address == "" {
		return nil
	}
	key := "networks." + network + "." + field
	a, err := parseAddress(address)
	if err != nil || a.Is4() != v4 {
		return l.fail(s.Name, key, "invalid address %q", address)
	}
	if s.GetScale() > 1 {
		return l.fail(s.Name, key, "a fixed address cannot be used by %d replicas", s.GetScale())
	}
	def := l.project.Networks[network]
	if bool(def.External) {
		return nil
	}
	subnets := 0
	for _, pool := range def.Ipam.Config {
		prefix, err := parsePrefix(pool.Subnet)
		if err != nil || prefix.Addr().Is4() != v4 {
			continue
		}
		if prefix.Contains(a) {
			return nil
		}
		subnets++
	}
	if subnets == 0 {
		return l.fail(s.Name, key, "network %q has no ipam subnet for it", network)
	}
	return l.fail(s.Name, key, "%s is in no subnet of network %q", a, network)
}

// checkModes checks which namespaces are shared.
func (l *loading) checkModes(s types.ServiceConfig) error {
	mode := s.NetworkMode
	switch {
	case mode == "" || mode == "none" || shares(mode):
	case mode == "host":
		if len(s.Ports) > 0 {
			return l.fail(s.Name, "ports", "cannot be published with network_mode: host")
		}
	case mode == "bridge" || mode == "default":
		return l.fail(s.Name, "network_mode", "%q is not supported yet", mode)
	default:
		return l.fail(s.Name, "network_mode", "unknown mode %q", mode)
	}
	if mode != "" && len(s.Networks) > 0 {
		return l.failAs(fmt.Sprintf("service %s declares mutually exclusive `network_mode` and `networks`: %v", s.Name, errInvalid), s.Name, "network_mode")
	}
	if shares(mode) {
		if key := ownNetworkKey(s); key != "" {
			return l.fail(s.Name, key, "cannot be set with network_mode: %s", mode)
		}
	}
	if s.Pid != "" && s.Pid != "host" && !shares(s.Pid) {
		return l.fail(s.Name, "pid", "unknown mode %q", s.Pid)
	}
	switch s.Ipc {
	case "", "private", "shareable", "none", "host":
	default:
		if !shares(s.Ipc) {
			return l.fail(s.Name, "ipc", "unknown mode %q", s.Ipc)
		}
	}
	for _, v := range []struct{ key, value string }{{"userns_mode", s.UserNSMode}, {"uts", s.Uts}} {
		if v.value != "" && v.value != "host" {
			return l.fail(s.Name, v.key, "unknown mode %q", v.value)
		}
	}
	return nil
}

// shares reports whether a namespace mode is another container's.
func shares(mode string) bool {
	for _, prefix := range []string{types.ServicePrefix, types.ContainerPrefix} {
		if rest, ok := strings.CutPrefix(mode, prefix); ok {
			return serviceForm.MatchString(rest)
		}
	}
	return false
}

// ownNetworkKey returns a key that only a service with a network of its own
// can have.
func ownNetworkKey(s types.ServiceConfig) string {
	switch {
	case len(s.Ports) > 0:
		return "ports"
	case len(s.Links) > 0:
		return "links"
	case len(s.DNS) > 0:
		return "dns"
	case len(s.ExtraHosts) > 0:
		return "extra_hosts"
	case s.Hostname != "":
		return "hostname"
	case s.MacAddress != "":
		return "mac_address"
	}
	return ""
}

func (l *loading) checkPrivileges(s types.ServiceConfig) error {
	for _, list := range []struct {
		key  string
		caps []string
	}{{"cap_add", s.CapAdd}, {"cap_drop", s.CapDrop}} {
		for i, c := range list.caps {
			if !knownCapability(c) {
				return l.fail(s.Name, fmt.Sprintf("%s[%d]", list.key, i), "unknown capability %q", c)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sysctls)) {
		key := "sysctls." + name
		if !namespacedSysctl(name) {
			return l.fail(s.Name, key, "%q is not namespaced: it would change the host", name)
		}
		switch {
		case strings.HasPrefix(name, "net.") && s.NetworkMode == "host":
			return l.fail(s.Name, key, "cannot be set with network_mode: host")
		case !strings.HasPrefix(name, "net.") && name != "kernel.domainname" && s.Ipc == "host":
			return l.fail(s.Name, key, "cannot be set with ipc: host")
		}
	}
	return nil
}

// capabilities are those of Linux.
// Source: capabilities(7).
var capabilities = []string{
	"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "CHOWN",
	"DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
	"LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE",
	"NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG",
	"SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE",
	"SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
}

func knownCapability(name string) bool {
	name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
	return name == "ALL" || slices.Contains(capabilities, name)
}

// namespacedSysctl reports whether a kernel setting belongs to a namespace
// that a container can have of its own.
// Source: runc, libcontainer/configs/validate.
func namespacedSysctl(name string) bool {
	name = strings.ReplaceAll(name, "/", ".")
	for _, prefix := range []string{"net.", "fs.mqueue.", "kernel.msg", "kernel.shm"} {
		if strings.HasPrefix(name, prefix) && !strings.Contains(name, "..") {
			return true
		}
	}
	return name == "kernel.sem" || name == "kernel.domainname"
}

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
