package project

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/tree"
)

// honoured are the keys that the engine acts on, and those that need no
// action. Everything else that a file sets is warned about by name, so a key
// that a later compose-go knows is warned about until it is listed here.
var honoured = keyPaths(`
name version include include.[].path include.[].env_file include.[].project_directory
services networks volumes secrets configs
services.* networks.* volumes.* secrets.* configs.*

services.*.annotations services.*.annotations.* services.*.attach
services.*.blkio_config services.*.blkio_config.device_read_bps services.*.blkio_config.device_read_bps.[].path
services.*.blkio_config.device_read_bps.[].rate services.*.blkio_config.device_read_iops
services.*.blkio_config.device_read_iops.[].path services.*.blkio_config.device_read_iops.[].rate
services.*.blkio_config.device_write_bps services.*.blkio_config.device_write_bps.[].path
services.*.blkio_config.device_write_bps.[].rate services.*.blkio_config.device_write_iops
services.*.blkio_config.device_write_iops.[].path services.*.blkio_config.device_write_iops.[].rate
services.*.blkio_config.weight services.*.blkio_config.weight_device
services.*.blkio_config.weight_device.[].path services.*.blkio_config.weight_device.[].weight
services.*.build services.*.build.additional_contexts services.*.build.additional_contexts.*
services.*.build.args services.*.build.args.* services.*.build.cache_from services.*.build.cache_to
services.*.build.context services.*.build.dockerfile services.*.build.dockerfile_inline
services.*.build.entitlements services.*.build.extra_hosts services.*.build.extra_hosts.*
services.*.build.labels services.*.build.labels.* services.*.build.network services.*.build.no_cache
services.*.build.no_cache_filter services.*.build.platforms services.*.build.privileged
services.*.build.provenance services.*.build.pull services.*.build.sbom services.*.build.secrets
services.*.build.secrets.[].source services.*.build.secrets.[].target services.*.build.shm_size
services.*.build.ssh services.*.build.ssh.* services.*.build.tags services.*.build.target
services.*.build.ulimits services.*.build.ulimits.* services.*.build.ulimits.*.hard
services.*.build.ulimits.*.soft services.*.cap_add services.*.cap_drop services.*.cgroup
services.*.cgroup_parent services.*.command
services.*.configs services.*.configs.[].gid services.*.configs.[].mode services.*.configs.[].source
services.*.configs.[].target services.*.configs.[].uid services.*.container_name services.*.cpu_period
services.*.cpu_quota services.*.cpu_rt_period services.*.cpu_rt_runtime services.*.cpu_shares
services.*.cpus services.*.cpuset
services.*.depends_on services.*.depends_on.* services.*.depends_on.*.condition
services.*.depends_on.*.required services.*.depends_on.*.restart
services.*.deploy services.*.deploy.mode services.*.deploy.replicas services.*.deploy.resources
services.*.deploy.resources.limits services.*.deploy.resources.limits.cpus
services.*.deploy.resources.limits.memory services.*.deploy.resources.limits.pids
services.*.deploy.resources.reservations services.*.deploy.resources.reservations.memory
services.*.device_cgroup_rules
services.*.devices services.*.devices.[].permissions services.*.devices.[].source services.*.devices.[].target
services.*.dns services.*.dns_opt services.*.dns_search services.*.domainname services.*.entrypoint
services.*.env_file services.*.env_file.[].format services.*.env_file.[].path services.*.env_file.[].required
services.*.environment services.*.environment.* services.*.expose
services.*.extends services.*.extends.file services.*.extends.service
services.*.extra_hosts services.*.extra_hosts.* services.*.group_add
services.*.healthcheck services.*.healthcheck.disable services.*.healthcheck.interval
services.*.healthcheck.retries services.*.healthcheck.start_interval services.*.healthcheck.start_period
services.*.healthcheck.test services.*.healthcheck.timeout services.*.hostname services.*.image
services.*.init services.*.ipc services.*.label_file services.*.labels services.*.labels.*
services.*.links
services.*.logging services.*.logging.driver services.*.logging.options services.*.logging.options.max-file
services.*.logging.options.max-size services.*.mac_address services.*.mem_limit
services.*.mem_reservation services.*.mem_swappiness services.*.memswap_limit services.*.network_mode
services.*.networks services.*.networks.* services.*.networks.*.aliases services.*.networks.*.gw_priority
services.*.networks.*.interface_name services.*.networks.*.ipv4_address services.*.networks.*.ipv6_address
services.*.networks.*.mac_address services.*.networks.*.priority services.*.oom_kill_disable
services.*.oom_score_adj services.*.pid services.*.pids_limit services.*.platform
services.*.ports services.*.ports.[].app_protocol services.*.ports.[].host_ip services.*.ports.[].mode
services.*.ports.[].name services.*.ports.[].protocol services.*.ports.[].published services.*.ports.[].target
services.*.privileged services.*.profiles services.*.pull_policy services.*.pull_refresh_after services.*.read_only services.*.restart
services.*.scale
services.*.secrets services.*.secrets.[].gid services.*.secrets.[].mode services.*.secrets.[].source
services.*.secrets.[].target services.*.secrets.[].uid services.*.security_opt services.*.shm_size
services.*.stdin_open services.*.stop_grace_period services.*.stop_signal
services.*.sysctls services.*.sysctls.* services.*.tmpfs services.*.tty
services.*.ulimits services.*.ulimits.* services.*.ulimits.*.hard services.*.ulimits.*.soft
services.*.umask services.*.user services.*.userns_mode services.*.uts
services.*.volumes services.*.volumes.[].bind services.*.volumes.[].bind.create_host_path
services.*.volumes.[].bind.propagation services.*.volumes.[].bind.recursive services.*.volumes.[].bind.selinux
services.*.volumes.[].read_only services.*.volumes.[].source services.*.volumes.[].target services.*.volumes.[].tmpfs
services.*.volumes.[].tmpfs.mode services.*.volumes.[].tmpfs.size services.*.volumes.[].type
services.*.volumes.[].volume services.*.volumes.[].volume.labels services.*.volumes.[].volume.labels.*
services.*.volumes.[].volume.nocopy services.*.volumes.[].volume.subpath services.*.volumes_from
services.*.working_dir

networks.*.attachable networks.*.driver networks.*.driver_opts networks.*.driver_opts.* networks.*.enable_ipv4
networks.*.enable_ipv6 networks.*.external networks.*.external.name networks.*.internal networks.*.ipam
networks.*.ipam.config networks.*.ipam.config.[].aux_addresses networks.*.ipam.config.[].aux_addresses.*
networks.*.ipam.config.[].gateway networks.*.ipam.config.[].ip_range networks.*.ipam.config.[].subnet
networks.*.ipam.driver networks.*.labels networks.*.labels.* networks.*.name

volumes.*.driver volumes.*.driver_opts volumes.*.driver_opts.* volumes.*.external volumes.*.external.name
volumes.*.labels volumes.*.labels.* volumes.*.name

secrets.*.environment secrets.*.external secrets.*.external.name secrets.*.file secrets.*.name

configs.*.content configs.*.environment configs.*.external configs.*.external.name configs.*.file
configs.*.name
`)

func keyPaths(list string) []tree.Path {
	var paths []tree.Path
	for _, p := range strings.Fields(list) {
		paths = append(paths, tree.Path(p))
	}
	return paths
}

var honouredKeys = sync.OnceValue(func() *keyTree[struct{}] {
	patterns := make(map[tree.Path]struct{}, len(honoured))
	for _, p := range honoured {
		patterns[p] = struct{}{}
	}
	return newKeyTree(patterns)
})

// warnCoverage warns of each key that is set and not honoured, by the outermost
// such key. Services that are not active are left out: nothing of them runs.
func (l *loading) warnCoverage(context.Context) error {
	var found []string
	walkUnhonoured(l.model, keyStateOf(honouredKeys()), nil, func(path []string) {
		if path[0] != "services" || len(path) < 3 {
			found = append(found, fmt.Sprintf("key %q is not honoured yet", joinKeys(path)))
			return
		}
		if _, active := l.project.Services[path[1]]; active || l.NoInterpolate {
			found = append(found, fmt.Sprintf("service %q: key %q is not honoured yet", path[1], joinKeys(path[2:])))
		}
	})
	slices.Sort(found)
	for _, w := range found {
		l.warn("%s", w)
	}
	return nil
}

// walkUnhonoured reports the paths below v that lead to no pattern of at.
// Extensions are for others.
func walkUnhonoured(v any, at keyState[struct{}], path []string, report func([]string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			if strings.HasPrefix(key, "x-") && !named(strings.Join(path, "\x00")) {
				continue
			}
			next, below := at.next(key), append(path, key)
			if len(next) == 0 {
				report(below)
				continue
			}
			walkUnhonoured(e, next, below, report)
		}
	case []any:
		items := at.next(tree.PathMatchList)
		if len(items) == 0 {
			return // items of plain text
		}
		for _, e := range v {
			walkUnhonoured(e, items, append(path, tree.PathMatchList), report)
		}
	}
}

// joinKeys writes a path as users know it: "ports[].name".
func joinKeys(path []string) string {
	return strings.ReplaceAll(strings.Join(path, "."), ".[]", "[]")
}
