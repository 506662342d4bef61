package project

import (
	"strings"
	"testing"
)

// The rows are keys of one service "a" with an image; "/" begins a new line,
// and "#" what stands at the top of the file.
func TestServiceChecks(t *testing.T) {
	for _, tt := range []struct{ name, keys, want string }{
		{"a usual service", "ports: [80]", "ok"},
		{"images are references", "image: 'UPPER Case'", `service "a": image: invalid reference "UPPER Case": invalid reference format: repository name (library/UPPER Case) must be lowercase`},
		{"a pull policy is one of a few words", "pull_policy: sometimes", `services.a.pull_policy 'sometimes' does not match pattern '^(always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+)$'`},
		{"the policy build needs a build", "pull_policy: build", `service "a": pull_policy: "build" needs a build section`},

		{"profiles are names", "profiles: ['?']", `service "a": profiles: invalid profile name "?": must match [a-zA-Z0-9][a-zA-Z0-9_.-]+`},
		{"container names are names", "container_name: -xx", `service "a": container_name: invalid container name "-xx": must match [a-zA-Z0-9][a-zA-Z0-9_.-]+`},
		{"no path can be a container name", "container_name: aa/../bb", `service "a": container_name: invalid container name "aa/../bb": must match [a-zA-Z0-9][a-zA-Z0-9_.-]+`},
		{"one name cannot be two containers'", "container_name: xx/scale: 2", "services.a: can't set container_name and scale as container name must be unique: invalid compose project"},
		{"two services cannot have one name", "container_name: xx#services: {b: {image: x, container_name: xx}}", `service "b": container_name: "xx" is already the container name of service "a"`},

		{"scale is not negative", "scale: -1", "services.a.scale: must be greater than or equal to 0"},
		{"scale and replicas agree", "scale: 2/deploy: {replicas: 3}", "services.a: can't set distinct values on 'scale' and 'deploy.replicas': invalid compose project"},
		{"memory below 6 MiB starts nothing", "mem_limit: 5m", `service "a": mem_limit: 5242880 bytes are less than the minimum of 6 MiB`},
		{"6 MiB start", "mem_limit: 6m", "ok"},
		{"one limit in two places agrees", "mem_limit: 10m/deploy: {resources: {limits: {memory: 11m}}}", "services.a: can't set distinct values on 'mem_limit' and 'deploy.resources.limits.memory': invalid compose project"},
		{"one limit in one place is enough", "mem_limit: 10m/deploy: {resources: {limits: {cpus: '1'}}}", "ok"},
		{"cpus are not set with a quota", "cpus: 1/cpu_quota: 5000", `service "a": cpus: cannot be used together with cpu_period or cpu_quota`},
		{"pids are bounded or not", "pids_limit: -2", `service "a": pids_limit: must be -1 (no limit) or more`},
		{"a period of CPU time is bounded", "cpu_period: 10", `service "a": cpu_period: 10 is not within 1000 to 1000000 microseconds`},
		{"so is a quota", "cpu_quota: 10", `service "a": cpu_quota: 10 is neither -1 (no limit) nor at least 1000 microseconds`},
		{"or there is none", "cpu_quota: -1", "ok"},
		{"real time fits its period", "cpu_rt_runtime: 20/cpu_rt_period: 10", `service "a": cpu_rt_runtime: must not be above cpu_rt_period`},
		{"swap needs a limit of memory", "memswap_limit: 10m", `service "a": memswap_limit: needs mem_limit, which it includes`},
		{"and includes it", "mem_limit: 10m/memswap_limit: 9m", `service "a": memswap_limit: must not be below mem_limit, which it includes`},
		{"wherever that is", "memswap_limit: 10m/deploy: {resources: {limits: {memory: 9m}}}", "ok"},
		{"swappiness is a percentage", "mem_swappiness: 101", `service "a": mem_swappiness: 101 is not within 0 to 100`},
		{"weights are bounded", "blkio_config: {weight: 5}", `service "a": blkio_config.weight: 5 is not within 10 to 1000`},
		{"those of devices too", "blkio_config: {weight_device: [{path: /dev/sda, weight: 1001}]}", `service "a": blkio_config.weight_device[0]: 1001 is not within 10 to 1000`},
		{"a working folder is a whole path", "working_dir: srv", `service "a": working_dir: "srv" is not an absolute path`},
		{"the kernel's scale for a victim is bounded", "oom_score_adj: 1001", `service "a": oom_score_adj: 1001 is not a whole number from -1000 to 1000`},
		{"on both sides", "oom_score_adj: '-1001'", `service "a": oom_score_adj: -1001 is not a whole number from -1000 to 1000`},
		{"a share of CPUs is bounded", "cpu_percent: 101", `service "a": cpu_percent: 101 is not a whole number from 0 to 100`},
		{"devices have paths", "devices: ['']", `service "a": devices[0]: names no device: write its path on the host, as /dev/null`},
		{"whole ones", "devices: [/dev/null, sda]", `service "a": devices[1]: "sda" is not an absolute path`},
		{"on both sides", "devices: ['/dev/null:x']", `service "a": devices[0]: target "x" is not an absolute path`},
		{"a pull is good for a time", "pull_policy: refresh/pull_refresh_after: soon", `service "a": pull_refresh_after: invalid duration "soon"`},
		{"in days and weeks too", "pull_policy: every_1w2d", "ok"},
		{"variables have names", "environment: ['=x']", `service "a": environment: a variable without a name`},
		{"limits have names of Linux", "ulimits: {files: 3}", `service "a": ulimits.files: unknown limit "files"`},
		{"a soft limit is below the hard one", "ulimits: {nofile: {soft: 3, hard: 2}}", `service "a": ulimits.nofile: soft limit 3 is above hard limit 2`},

		{"a restart policy is one of four words", "restart: sometimes", `service "a": restart: unknown restart policy "sometimes"`},
		{"only on-failure counts", "restart: always:3", `service "a": restart: unknown restart policy "always:3"`},
		{"on-failure counts", "restart: on-failure:3", "ok"},
		{"on-failure counts numbers", "restart: on-failure:x", `service "a": restart: invalid number of restarts "x"`},
		{"signals have names", "stop_signal: SIGFOO", `service "a": stop_signal: unknown signal "SIGFOO"`},
		{"or numbers, or no SIG", "stop_signal: RTMIN+3", "ok"},
		{"a check starts with its kind", "healthcheck: {test: [curl]}", `service "a": healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"`},
		{"a check has a command", "healthcheck: {test: [CMD]}", `service "a": healthcheck.test: CMD needs a command`},
		{"a start interval needs its period", "healthcheck: {test: x, start_interval: 1s}", `service "a": healthcheck.start_interval: requires healthcheck.start_period to be set`},
		{"some labels are ours", "labels: [com.docker.compose.project=x]", `service "a": labels: label "com.docker.compose.project": the prefix com.docker.compose. is reserved`},

		{"host names are RFC 1123", "hostname: a b", `service "a": hostname: invalid host name "a b": not an RFC 1123 name`},
		{"resolvers are addresses", "dns: [1.1.1]", `service "a": dns[0]: invalid ip address "1.1.1"`},
		{"a search domain is one word", "dns_search: ['a b']", `service "a": dns_search[0]: invalid word "a b"`},
		{"hosts have addresses", "extra_hosts: ['h=nowhere']", `service "a": extra_hosts: host "h": invalid ip address "nowhere"`},
		{"or the host's", "extra_hosts: ['h=host-gateway', 'i=[::1]']", "ok"},
		{"sctp is to come", "ports: ['80:80/sctp']", `service "a": ports[0]: protocol sctp is not supported yet`},
		{"a port has a target", "ports: [{target: 70000}]", `service "a": ports[0]: invalid target port 70000: not 1 to 65535`},
		{"a port's mode is one of two", "ports: [{target: 80, mode: both}]", `service "a": ports[0]: unknown mode "both": ingress or host`},
		{"IPv6 needs no brackets", "ports: ['::1:6001:80', '[::1]:6002:80']", "ok"},
		{"exposed ports are ports", "expose: ['0']", `service "a": expose[0]: invalid port "0": not 1 to 65535`},
		{"a host port is published once", "ports: ['80:80']#services: {b: {image: x, ports: ['80:81']}}", `service "b": ports[0]: host port 80/tcp is already published by service "a"`},
		{"each protocol has its own ports", "ports: ['80:80', '80:80/udp']", "ok"},
		{"each address has its own ports", "ports: ['127.0.0.1:80:80', '127.0.0.2:80:80']", "ok"},
		{"a port of the host alone is bound once", "ports: [{target: 80, published: 80, mode: host}]/scale: 2", `service "a": ports[0]: host port 80 in mode host cannot be bound by 2 replicas`},
		{"a range has a port for each replica", "ports: ['80-81:80']/scale: 3", `service "a": ports[0]: 3 replicas need a port each, and 80-81 are 2`},
		{"or for more", "ports: ['80-82:80']/scale: 3", "ok"},
		{"a fixed address is one service's", "networks: {n: {ipv4_address: 10.0.0.5}}#services: {b: {image: x, networks: {n: {ipv4_address: 10.0.0.5}}}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}", `service "b": networks.n.ipv4_address: 10.0.0.5 is already the address of service "a"`},
		{"a MAC address is one", "mac_address: 02:00", `service "a": mac_address: invalid MAC address "02:00"`},

		{"aliases are host names", "networks: {n: {aliases: ['a/b']}}#networks: {n: }", `service "a": networks.n.aliases[0]: invalid host name "a/b": not an RFC 1123 name`},
		{"a fixed address is of the subnet", "networks: {n: {ipv4_address: 10.1.0.1}}#networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}", `service "a": networks.n.ipv4_address: 10.1.0.1 is in no subnet of network "n"`},
		{"a fixed address needs a subnet", "networks: {n: {ipv4_address: 10.1.0.1}}#networks: {n: }", `service "a": networks.n.ipv4_address: network "n" has no ipam subnet for it`},
		{"a fixed address is one container's", "networks: {n: {ipv4_address: 10.0.0.9}}/scale: 2#networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}]}}}", `service "a": networks.n.ipv4_address: a fixed address cannot be used by 2 replicas`},
		{"interfaces have short names", "networks: {n: {interface_name: much-too-long-for-it}}#networks: {n: }", `service "a": networks.n.interface_name: invalid interface name "much-too-long-for-it"`},
		{"a network mode is one of a few words", "network_mode: mesh", `service "a": network_mode: unknown mode "mesh"`},
		{"a mode has no networks besides", "network_mode: host/networks: [n]#networks: {n: }", "service a declares mutually exclusive `network_mode` and `networks`: invalid compose project"},
		{"the host's network publishes nothing", "network_mode: host/ports: [80]", `service "a": ports: cannot be published with network_mode: host`},
		{"a shared network has its owner's settings", "network_mode: 'service:b'/dns: [1.1.1.1]#services: {b: {image: x}}", `service "a": dns: cannot be set with network_mode: service:b`},
		{"processes are shared with few", "pid: private", `service "a": pid: unknown mode "private"`},
		{"so is memory", "ipc: open", `service "a": ipc: unknown mode "open"`},

		{"capabilities are those of Linux", "cap_add: [net_admin, CAP_KILL, ALL, FLY]", `service "a": cap_add[3]: unknown capability "FLY"`},
		{"the host's settings are not changed", "sysctls: {vm.swappiness: 1}", `service "a": sysctls.vm.swappiness: "vm.swappiness" is not namespaced: it would change the host`},
		{"nor its network's", "sysctls: {net.core.somaxconn: 1}/network_mode: host", `service "a": sysctls.net.core.somaxconn: cannot be set with network_mode: host`},

		{"one mount a target", "tmpfs: [/a]/volumes: ['/x:/a/']", "services.a.volumes[0]: target /a already mounted as services.a.tmpfs[0]"},
		{"targets are absolute", "volumes: ['/x:a']", `service "a": volumes[0]: target "a" is not an absolute path`},
		{"access words are known", "volumes: ['/x:/a:ro,quick']", `service "a": volumes: "/x:/a:ro,quick": unknown access word "quick"`},
		{"a volume of one letter would be a Windows drive", "volumes: ['v:/v']#volumes: {v: }", `service "a": volumes[0]: "v:/v" is read as a path on a Windows drive: give the volume a name of two letters or more, or use the long form`},
		{"types are known", "volumes: [{type: cloud, target: /x}]", `services.a.volumes.0.type value must be one of 'bind', 'volume', 'tmpfs', 'cluster', 'npipe', 'image'`},
		{"access to others' volumes is ro or rw", "volumes_from: ['b:wo']#services: {b: {image: x}}", `service "a": volumes_from[0]: unknown access "wo": ro or rw`},

		{"a secret's variable is asked for where a container is made", "secrets: [s]#secrets: {s: {environment: NOPE}}", "ok"},
		{"there is no store of secrets", "secrets: [s]#secrets: {s: {external: true}}", `service "a": secrets[0]: secret "s" is external, and there is no store of secrets here`},
		{"a secret stays below its folder", "secrets: [{source: s, target: ../../etc/shadow}]#secrets: {s: {file: x}}", `service "a": secrets[0]: invalid target "../../etc/shadow"`},
		{"owners are numbers", "configs: [{source: c, uid: root}]#configs: {c: {content: x}}", `service "a": configs[0]: uid "root" is not a number`},
		{"log drivers are known", "logging: {driver: paper}", `service "a": logging: unknown driver "paper"`},
		{"log options are known", "logging: {options: {max-pages: 3}}", `service "a": logging: driver "json-file" has no option "max-pages"`},

		{"subnets are in CIDR form", "networks: [n]#networks: {n: {ipam: {config: [{subnet: 10.0.0.0}]}}}", `networks.n.ipam.config[0].subnet: invalid subnet "10.0.0.0": not in CIDR form`},
		{"gateways are of the subnet", "networks: [n]#networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.1.0.1}]}}}", `networks.n.ipam.config[0].gateway: 10.1.0.1 is not within subnet 10.0.0.0/24`},
		{"network drivers are known", "networks: [n]#networks: {n: {driver: overlay}}", `networks.n.driver: unknown driver "overlay"`},
		{"what is external is not defined here", "networks: [n]#networks: {n: {external: true, driver: bridge}}", `networks.n.driver: conflicting parameters "external" and "driver" specified`},
		{"a network's full name is no path", "networks: [n]#networks: {n: {name: ../n}}", `networks.n: invalid network name "../n": must match [a-zA-Z0-9][a-zA-Z0-9_.-]*`},
		{"a volume's full name is no path", "volumes: ['vv:/v']#volumes: {vv: {name: a/b}}", `volumes.vv: invalid volume name "a/b": must match [a-zA-Z0-9][a-zA-Z0-9_.-]*`},
		{"volume drivers are known", "volumes: ['vv:/v']#volumes: {vv: {driver: nas}}", `volumes.vv.driver: unknown driver "nas"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, dir, err := load(t, serviceFile(tt.keys))
			got := show(err, dir)
			if _, msg, ok := strings.Cut(got, ": "); ok && strings.HasPrefix(got, "DIR/compose.yaml:") {
				got = msg
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// serviceFile expands a row of TestServiceChecks to one or two documents.
func serviceFile(keys string) string {
	own, top, _ := strings.Cut(keys, "#")
	text := "services:\n  a:\n"
	if !strings.HasPrefix(own, "image:") {
		text += "    image: x\n"
	}
	for _, part := range splitKeys(own) {
		text += "    " + part + "\n"
	}
	if top != "" {
		text += "---\n" + top + "\n"
	}
	return text
}

// splitKeys splits at "/" before a key at the outermost level.
func splitKeys(s string) []string {
	var parts []string
	depth, start := 0, 0
	quoted := false
	for i, r := range s {
		switch {
		case r == '\'':
			quoted = !quoted
		case quoted:
		case r == '{' || r == '[':
			depth++
		case r == '}' || r == ']':
			depth--
		case r == '/' && depth == 0 && start < i && strings.Contains(s[i:], ": ") && !strings.HasPrefix(s[i:], "/../"):
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}
