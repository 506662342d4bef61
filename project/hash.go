package project

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
)

// The configuration hash says whether a container, network or volume still is
// what the files describe. It covers fields named here, in this order, so that
// neither key order nor a release of compose-go changes it. Unset fields leave
// no trace: a field that a later release adds changes the hash of those
// services only that set it.
//
// Left out of a service's: name, build, pull_policy, pull_refresh_after,
// scale, deploy.replicas, depends_on, profiles, develop, extends and provider,
// which no container shows; env_file and label_file, whose content is in
// environment and labels.

// serviceHash returns the hash of s, 64 hex digits.
func (p *Project) serviceHash(s types.ServiceConfig) string {
	h := &digest{}
	h.text("image", defaultText(s.Image, p.ImageName(s.Name)))
	h.text("platform", s.Platform)
	h.command("command", s.Command)
	h.command("entrypoint", s.Entrypoint)
	h.optional("environment", s.Environment)
	h.text("working_dir", s.WorkingDir)
	h.text("user", s.User)
	h.list("group_add", s.GroupAdd)
	h.flag("tty", s.Tty)
	h.flag("stdin_open", s.StdinOpen)
	h.boolean("attach", s.Attach)
	h.text("container_name", s.ContainerName)
	h.mapping("labels", s.Labels)
	h.mapping("annotations", s.Annotations)

	h.text("restart", s.Restart)
	h.text("stop_signal", s.StopSignal)
	h.duration("stop_grace_period", s.StopGracePeriod)
	h.boolean("init", s.Init)
	h.health(s.HealthCheck)
	h.logging(s)

	h.text("hostname", s.Hostname)
	h.text("domainname", s.DomainName)
	h.text("mac_address", s.MacAddress)
	h.text("network_mode", s.NetworkMode)
	h.text("net", s.Net)
	h.networks(s.Networks)
	h.ports(s.Ports)
	h.list("expose", s.Expose)
	h.list("links", s.Links)
	h.list("external_links", s.ExternalLinks)
	h.hosts("extra_hosts", s.ExtraHosts)
	h.list("dns", s.DNS)
	h.list("dns_search", s.DNSSearch)
	h.list("dns_opt", s.DNSOpts)

	h.volumes(s.Volumes)
	h.list("volumes_from", s.VolumesFrom)
	h.text("volume_driver", s.VolumeDriver)
	h.list("tmpfs", s.Tmpfs)
	h.files(p, s)

	h.list("cap_add", s.CapAdd)
	h.list("cap_drop", s.CapDrop)
	h.list("security_opt", s.SecurityOpt)
	h.flag("privileged", s.Privileged)
	h.flag("read_only", s.ReadOnly)
	h.mapping("sysctls", s.Sysctls)
	h.text("pid", s.Pid)
	h.text("ipc", s.Ipc)
	h.text("uts", s.Uts)
	h.text("userns_mode", s.UserNSMode)
	h.text("cgroup", s.Cgroup)
	h.text("cgroup_parent", s.CgroupParent)
	h.text("isolation", s.Isolation)
	h.text("runtime", s.Runtime)
	h.credentials(s.CredentialSpec)
	h.flag("use_api_socket", s.UseAPISocket)
	h.umask(s.Umask)

	h.limits(s)
	h.devices(s)
	h.deploy(s.Deploy)
	h.hooks(s)
	h.models(s.Models)
	return h.sum()
}

// NetworkHash returns the configuration hash of the network under key.
func (p *Project) NetworkHash(key string) string {
	n := p.Networks[key]
	h := &digest{}
	h.text("name", p.NetworkName(key))
	h.text("driver", defaultText(n.Driver, "bridge"))
	h.mapping("driver_opts", n.DriverOpts)
	h.flag("internal", n.Internal)
	h.flag("attachable", n.Attachable)
	h.boolean("enable_ipv4", n.EnableIPv4)
	h.boolean("enable_ipv6", n.EnableIPv6)
	h.text("ipam.driver", defaultText(n.Ipam.Driver, "default"))
	h.mapping("ipam.options", n.Ipam.Options)
	for i, pool := range n.Ipam.Config {
		if pool == nil {
			continue
		}
		at := index("ipam.config", i)
		h.text(at+".subnet", pool.Subnet)
		h.text(at+".gateway", pool.Gateway)
		h.text(at+".ip_range", pool.IPRange)
		h.mapping(at+".aux_addresses", pool.AuxiliaryAddresses)
	}
	h.mapping("labels", n.Labels)
	return h.sum()
}

// VolumeHash returns the configuration hash of the volume under key. Labels
// are left out: a change of theirs is no reason to replace data.
func (p *Project) VolumeHash(key string) string {
	v := p.Volumes[key]
	h := &digest{}
	h.text("name", p.VolumeName(key))
	h.text("driver", defaultText(v.Driver, "local"))
	h.mapping("driver_opts", v.DriverOpts)
	return h.sum()
}

func defaultText(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// digest collects named fields. Each is a line `name "value"`, quoted as Go
// quotes, so no two different lists of fields give the same text.
type digest struct{ lines []byte }

func (h *digest) sum() string {
	sum := sha256.Sum256(h.lines)
	return hex.EncodeToString(sum[:])
}

func (h *digest) line(name, value string) {
	h.lines = strconv.AppendQuote(append(strconv.AppendQuote(h.lines, name), ' '), value)
	h.lines = append(h.lines, '\n')
}

func (h *digest) text(name, value string) {
	if value != "" {
		h.line(name, value)
	}
}

func (h *digest) number(name string, n int64) {
	if n != 0 {
		h.line(name, strconv.FormatInt(n, 10))
	}
}

func (h *digest) real(name string, f float32) {
	if f != 0 {
		h.line(name, strconv.FormatFloat(float64(f), 'g', -1, 32))
	}
}

func (h *digest) flag(name string, b bool) {
	if b {
		h.line(name, "true")
	}
}

func (h *digest) boolean(name string, b *bool) {
	if b != nil {
		h.line(name, strconv.FormatBool(*b))
	}
}

func (h *digest) count(name string, n *uint64) {
	if n != nil {
		h.line(name, strconv.FormatUint(*n, 10))
	}
}

func (h *digest) duration(name string, d *types.Duration) {
	if d != nil {
		h.number(name, int64(*d))
	}
}

func (h *digest) list(name string, values []string) {
	for i, v := range values {
		h.line(index(name, i), v)
	}
}

// command tells an empty command from none.
func (h *digest) command(name string, words types.ShellCommand) {
	if words != nil {
		h.line(name, strconv.Itoa(len(words)))
		h.list(name, words)
	}
}

func (h *digest) mapping(name string, values map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		h.line(name+"."+k, values[k])
	}
}

// optional tells an empty value from none.
func (h *digest) optional(name string, values types.MappingWithEquals) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if v := values[k]; v != nil {
			h.line(name+"."+k, *v)
		} else {
			h.line(name+".unset", k)
		}
	}
}

func (h *digest) hosts(name string, hosts types.HostsList) {
	for _, k := range slices.Sorted(maps.Keys(hosts)) {
		h.list(name+"."+k, hosts[k])
	}
}

func index(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }

func (h *digest) health(c *types.HealthCheckConfig) {
	if c == nil {
		return
	}
	h.list("healthcheck.test", c.Test)
	h.duration("healthcheck.interval", c.Interval)
	h.duration("healthcheck.timeout", c.Timeout)
	h.duration("healthcheck.start_period", c.StartPeriod)
	h.duration("healthcheck.start_interval", c.StartInterval)
	h.count("healthcheck.retries", c.Retries)
	h.flag("healthcheck.disable", c.Disable)
}

func (h *digest) logging(s types.ServiceConfig) {
	if s.Logging != nil {
		h.text("logging.driver", s.Logging.Driver)
		h.mapping("logging.options", s.Logging.Options)
	}
	h.text("log_driver", s.LogDriver)
	h.mapping("log_opt", s.LogOpt)
}

func (h *digest) networks(networks map[string]*types.ServiceNetworkConfig) {
	for _, key := range slices.Sorted(maps.Keys(networks)) {
		at := "networks." + key
		h.line(at, "")
		n := networks[key]
		if n == nil {
			continue
		}
		h.list(at+".aliases", n.Aliases)
		h.mapping(at+".driver_opts", n.DriverOpts)
		h.number(at+".gw_priority", int64(n.GatewayPriority))
		h.text(at+".interface_name", n.InterfaceName)
		h.text(at+".ipv4_address", n.Ipv4Address)
		h.text(at+".ipv6_address", n.Ipv6Address)
		h.list(at+".link_local_ips", n.LinkLocalIPs)
		h.text(at+".mac_address", n.MacAddress)
		h.number(at+".priority", int64(n.Priority))
		h.boolean(at+".use_service_name_alias", n.UseServiceNameAlias)
	}
}

func (h *digest) ports(ports []types.ServicePortConfig) {
	for i, p := range ports {
		at := index("ports", i)
		h.number(at+".target", int64(p.Target))
		h.text(at+".published", p.Published)
		h.text(at+".host_ip", p.HostIP)
		h.text(at+".protocol", defaultText(p.Protocol, "tcp"))
		h.text(at+".mode", defaultText(p.Mode, "ingress"))
		h.text(at+".name", p.Name)
		h.text(at+".app_protocol", p.AppProtocol)
	}
}

func (h *digest) volumes(volumes []types.ServiceVolumeConfig) {
	for i, v := range volumes {
		at := index("volumes", i)
		h.text(at+".type", v.Type)
		h.text(at+".source", v.Source)
		h.text(at+".target", cleanTarget(v.Target))
		h.flag(at+".read_only", v.ReadOnly)
		h.text(at+".consistency", v.Consistency)
		if b := v.Bind; b != nil {
			h.text(at+".bind.propagation", b.Propagation)
			h.text(at+".bind.recursive", b.Recursive)
			h.text(at+".bind.selinux", b.SELinux)
		}
		if o := v.Volume; o != nil {
			h.flag(at+".volume.nocopy", o.NoCopy)
			h.text(at+".volume.subpath", o.Subpath)
			h.mapping(at+".volume.labels", o.Labels)
		}
		if t := v.Tmpfs; t != nil {
			h.number(at+".tmpfs.size", int64(t.Size))
			h.number(at+".tmpfs.mode", int64(t.Mode))
		}
		if m := v.Image; m != nil {
			h.text(at+".image.subpath", m.SubPath)
		}
	}
}

// files covers where secrets and configs come from, not their content: that
// is read anew at each start.
func (h *digest) files(p *Project, s types.ServiceConfig) {
	for _, g := range grants(s) {
		at := index(g.kind+"s", g.index)
		h.text(at+".source", g.source)
		h.text(at+".target", g.Target)
		h.text(at+".uid", g.UID)
		h.text(at+".gid", g.GID)
		if g.Mode != nil {
			h.line(at+".mode", g.Mode.String())
		}
		h.text(at+".file", p.fileObject(g.kind, g.source).File)
	}
}

func (h *digest) credentials(c *types.CredentialSpecConfig) {
	if c != nil {
		h.text("credential_spec.config", c.Config)
		h.text("credential_spec.file", c.File)
		h.text("credential_spec.registry", c.Registry)
	}
}

func (h *digest) umask(mask *uint32) {
	if mask != nil {
		h.line("umask", strconv.FormatUint(uint64(*mask), 8))
	}
}

func (h *digest) limits(s types.ServiceConfig) {
	h.real("cpus", s.CPUS)
	h.number("cpu_count", s.CPUCount)
	h.real("cpu_percent", s.CPUPercent)
	h.number("cpu_period", s.CPUPeriod)
	h.number("cpu_quota", s.CPUQuota)
	h.number("cpu_rt_period", s.CPURTPeriod)
	h.number("cpu_rt_runtime", s.CPURTRuntime)
	h.text("cpuset", s.CPUSet)
	h.number("cpu_shares", s.CPUShares)
	h.number("mem_limit", int64(s.MemLimit))
	h.number("mem_reservation", int64(s.MemReservation))
	h.number("memswap_limit", int64(s.MemSwapLimit))
	h.number("mem_swappiness", int64(s.MemSwappiness))
	h.flag("oom_kill_disable", s.OomKillDisable)
	h.number("oom_score_adj", s.OomScoreAdj)
	h.number("pids_limit", s.PidsLimit)
	h.number("shm_size", int64(s.ShmSize))
	h.mapping("storage_opt", s.StorageOpt)
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		if u := s.Ulimits[name]; u != nil {
			at := "ulimits." + name
			h.line(at, "")
			h.number(at+".single", int64(u.Single))
			h.number(at+".soft", int64(u.Soft))
			h.number(at+".hard", int64(u.Hard))
		}
	}
	if b := s.BlkioConfig; b != nil {
		h.number("blkio_config.weight", int64(b.Weight))
		for i, d := range b.WeightDevice {
			h.line(index("blkio_config.weight_device", i), d.Path)
			h.number(index("blkio_config.weight_device", i)+".weight", int64(d.Weight))
		}
		h.throttle("blkio_config.device_read_bps", b.DeviceReadBps)
		h.throttle("blkio_config.device_read_iops", b.DeviceReadIOps)
		h.throttle("blkio_config.device_write_bps", b.DeviceWriteBps)
		h.throttle("blkio_config.device_write_iops", b.DeviceWriteIOps)
	}
}

func (h *digest) throttle(name string, devices []types.ThrottleDevice) {
	for i, d := range devices {
		h.line(index(name, i), d.Path)
		h.number(index(name, i)+".rate", int64(d.Rate))
	}
}

func (h *digest) devices(s types.ServiceConfig) {
	for i, d := range s.Devices {
		at := index("devices", i)
		h.text(at+".source", d.Source)
		h.text(at+".target", d.Target)
		h.text(at+".permissions", d.Permissions)
	}
	h.list("device_cgroup_rules", s.DeviceCgroupRules)
	h.requests("gpus", s.Gpus)
}

func (h *digest) requests(name string, requests []types.DeviceRequest) {
	for i, d := range requests {
		at := index(name, i)
		h.list(at+".capabilities", d.Capabilities)
		h.text(at+".driver", d.Driver)
		h.number(at+".count", int64(d.Count))
		h.list(at+".device_ids", d.IDs)
		h.mapping(at+".options", d.Options)
	}
}

// deploy covers what of it shapes a container.
func (h *digest) deploy(d *types.DeployConfig) {
	if d == nil {
		return
	}
	h.text("deploy.endpoint_mode", d.EndpointMode)
	for _, r := range []struct {
		name string
		*types.Resource
	}{{"deploy.resources.limits", d.Resources.Limits}, {"deploy.resources.reservations", d.Resources.Reservations}} {
		if r.Resource == nil {
			continue
		}
		h.real(r.name+".cpus", float32(r.NanoCPUs))
		h.number(r.name+".memory", int64(r.MemoryBytes))
		h.number(r.name+".pids", r.Pids)
		h.requests(r.name+".devices", r.Devices)
	}
	if r := d.RestartPolicy; r != nil {
		h.text("deploy.restart_policy.condition", r.Condition)
		h.duration("deploy.restart_policy.delay", r.Delay)
		h.count("deploy.restart_policy.max_attempts", r.MaxAttempts)
		h.duration("deploy.restart_policy.window", r.Window)
	}
}

// hooks covers the steps of a service's life cycle.
func (h *digest) hooks(s types.ServiceConfig) {
	for i, step := range s.PreStart {
		at := index("pre_start", i)
		h.text(at+".image", step.Image)
		h.hook(at, step.Command, step.User, step.Privileged, step.WorkingDir, step.Environment)
	}
	for i, step := range s.PostStart {
		h.hook(index("post_start", i), step.Command, step.User, step.Privileged, step.WorkingDir, step.Environment)
	}
	for i, step := range s.PreStop {
		h.hook(index("pre_stop", i), step.Command, step.User, step.Privileged, step.WorkingDir, step.Environment)
	}
}

func (h *digest) hook(at string, command types.ShellCommand, user string, privileged bool, dir string, env types.MappingWithEquals) {
	h.command(at+".command", command)
	h.text(at+".user", user)
	h.flag(at+".privileged", privileged)
	h.text(at+".working_dir", dir)
	h.optional(at+".environment", env)
}

func (h *digest) models(models map[string]*types.ServiceModelConfig) {
	for _, name := range slices.Sorted(maps.Keys(models)) {
		h.line("models."+name, "")
		if m := models[name]; m != nil {
			h.text("models."+name+".endpoint_var", m.EndpointVariable)
			h.text("models."+name+".model_var", m.ModelVariable)
		}
	}
}
