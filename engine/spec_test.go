package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gopkg.in/yaml.v3"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/project"
)

// testID begins with what the container's host name is by default.
const testID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// testHost is a machine with everything.
func testHost() hostFacts {
	return hostFacts{
		CgroupV2: true, SwapLimits: true, OpenFiles: 1 << 20,
		Caps:       append(slices.Clone(defaultCaps), "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"),
		HardLimits: map[string]uint64{"RLIMIT_NOFILE": 20000},
		Throttles:  []string{"/sys/devices/system/cpu/cpu0/thermal_throttle"},
		CPUs:       map[int]bool{0: true, 1: true},
	}
}

// build makes a spec of a service in YAML on an image with a command.
func build(t *testing.T, service string, change ...func(*specInput)) (*specs.Spec, []string, error) {
	t.Helper()
	in := specInput{host: testHost(), root: layout.Root{State: "/var/lib/compose", Run: "/run/compose"}}
	in.ID, in.Name = testID, "shop-web-1"
	if err := yaml.Unmarshal([]byte(service), &in.Service); err != nil {
		t.Fatal(err)
	}
	in.Image.Config.Config.Cmd = []string{"serve"}
	in.Image.Config.Config.Env = []string{"PATH=/image", "A=image", "B=image"}
	in.Netns = "/run/netns/x"
	for _, c := range change {
		c(&in)
	}
	return buildSpec(in)
}

// TestSpecOfKey shows, for each key of a service, what it is in the OCI spec.
// show picks the part; want is its JSON.
func TestSpecOfKey(t *testing.T) {
	args := func(s *specs.Spec) any { return s.Process.Args }
	env := func(s *specs.Spec) any { return s.Process.Env }
	cpu := func(s *specs.Spec) any { return s.Linux.Resources.CPU }
	memory := func(s *specs.Spec) any { return s.Linux.Resources.Memory }
	pids := func(s *specs.Spec) any { return s.Linux.Resources.Pids }
	caps := func(s *specs.Spec) any { return len(s.Process.Capabilities.Bounding) }
	namespaces := func(s *specs.Spec) any {
		var all []string
		for _, n := range s.Linux.Namespaces {
			all = append(all, strings.TrimSuffix(string(n.Type)+"="+n.Path, "="))
		}
		slices.Sort(all)
		return all
	}
	mount := func(target string) func(*specs.Spec) any {
		return func(s *specs.Spec) any {
			for _, m := range s.Mounts {
				if m.Destination == target {
					return m.Type + " " + strings.Join(m.Options, ",")
				}
			}
			return nil
		}
	}
	devices := func(s *specs.Spec) any { return s.Linux.Resources.Devices }
	for _, tt := range []struct {
		name, service string
		show          func(*specs.Spec) any
		want          string
	}{
		{"command: the image's", ``, args, `["serve"]`},
		{"command: the service's", `command: [a, b]`, args, `["a","b"]`},
		{"entrypoint drops the image's command", `entrypoint: [e]`, args, `["e"]`},
		{"entrypoint and command", `{entrypoint: [e], command: [c]}`, args, `["e","c"]`},
		{"environment: over the image's, in its place", `environment: {A: mine, Z: "1"}`, env,
			`["PATH=/image","A=mine","B=image","Z=1","HOSTNAME=0123456789ab"]`},
		{"environment: bare and unset takes the image's away", `environment: {A: null}`, env, `["PATH=/image","B=image","HOSTNAME=0123456789ab"]`},
		{"working_dir", `working_dir: /srv`, func(s *specs.Spec) any { return s.Process.Cwd }, `"/srv"`},
		{"hostname: the short id", ``, func(s *specs.Spec) any { return s.Hostname }, `"0123456789ab"`},
		{"hostname", `hostname: web`, func(s *specs.Spec) any { return s.Hostname }, `"web"`},
		{"uts: host", `uts: host`, func(s *specs.Spec) any { return s.Hostname }, `""`},
		{"read_only", `read_only: true`, func(s *specs.Spec) any { return s.Root.Readonly }, `true`},
		{"namespaces", ``, namespaces, `["cgroup","ipc","mount","network=/run/netns/x","pid","uts"]`},
		{"cgroup: host", `cgroup: host`, namespaces, `["ipc","mount","network=/run/netns/x","pid","uts"]`},
		{"cgroup path", ``, func(s *specs.Spec) any { return s.Linux.CgroupsPath }, `"/compose/` + testID + `"`},
		{"cgroup_parent", `cgroup_parent: /mine`, func(s *specs.Spec) any { return s.Linux.CgroupsPath }, `"/mine/` + testID + `"`},
		{"cpus", `cpus: 0.5`, cpu, `{"quota":50000,"period":100000}`},
		{"cpus: of deploy", `deploy: {resources: {limits: {cpus: 1.5}}}`, cpu, `{"quota":150000,"period":100000}`},
		{"cpu_shares", `cpu_shares: 512`, cpu, `{"shares":512}`},
		{"cpu_quota and period", `{cpu_quota: -1, cpu_period: 20000}`, cpu, `{"quota":-1,"period":20000}`},
		{"cpuset", `cpuset: 0-1`, cpu, `{"cpus":"0-1"}`},
		{"no cpu", ``, cpu, `null`},
		{"mem_limit allows as much swap", `mem_limit: 1048576`, memory, `{"limit":1048576,"swap":2097152}`},
		{"memswap_limit", `{mem_limit: 1048576, memswap_limit: 1048576}`, memory, `{"limit":1048576,"swap":1048576}`},
		{"memswap_limit: none", `{mem_limit: 1048576, memswap_limit: -1}`, memory, `{"limit":1048576,"swap":-1}`},
		{"mem_reservation", `mem_reservation: 4096`, memory, `{"reservation":4096}`},
		{"memory: of deploy", `deploy: {resources: {limits: {memory: 4096}, reservations: {memory: 1024}}}`, memory, `{"limit":4096,"reservation":1024,"swap":8192}`},
		{"no memory", ``, memory, `null`},
		{"pids_limit", `pids_limit: 7`, pids, `{"limit":7}`},
		{"pids_limit: none", `pids_limit: -1`, pids, `{"limit":-1}`},
		{"no pids_limit", ``, pids, `null`},
		{"blkio_config", `blkio_config: {weight: 300}`, func(s *specs.Spec) any { return s.Linux.Resources.BlockIO }, `{"weight":300}`},
		{"ulimits", `ulimits: {nofile: {soft: 10, hard: 20}, core: {single: 0, soft: -1, hard: -1}}`, func(s *specs.Spec) any { return s.Process.Rlimits },
			`[{"type":"RLIMIT_CORE","hard":18446744073709551615,"soft":18446744073709551615},{"type":"RLIMIT_NOFILE","hard":20,"soft":10}]`},
		{"oom_score_adj", `oom_score_adj: -5`, func(s *specs.Spec) any { return s.Process.OOMScoreAdj }, `-5`},
		{"capabilities", ``, caps, `14`},
		{"cap_add", `cap_add: [net_admin, CAP_SYS_ADMIN]`, caps, `16`},
		{"cap_drop", `cap_drop: [MKNOD, net_raw]`, caps, `12`},
		{"cap_drop all and add one", `{cap_drop: [ALL], cap_add: [NET_ADMIN]}`, func(s *specs.Spec) any { return s.Process.Capabilities.Effective }, `["CAP_NET_ADMIN"]`},
		{"cap_add all", `cap_add: [all]`, caps, `17`},
		{"privileged has every capability", `privileged: true`, caps, `17`},
		{"privileged: nothing is masked", `privileged: true`, func(s *specs.Spec) any { return []any{s.Linux.MaskedPaths, s.Linux.ReadonlyPaths, s.Linux.Seccomp} }, `[null,null,null]`},
		{"privileged: /sys is writable", `privileged: true`, mount("/sys"), `"sysfs nosuid,noexec,nodev,rw"`},
		{"masked and read-only paths", ``, func(s *specs.Spec) any { return fmt.Sprint(len(s.Linux.MaskedPaths), len(s.Linux.ReadonlyPaths)) }, `"13 5"`},
		{"where the processors tell their heat is masked too", ``, func(s *specs.Spec) any { return s.Linux.MaskedPaths[len(s.Linux.MaskedPaths)-1] }, `"/sys/devices/system/cpu/cpu0/thermal_throttle"`},
		{"systempaths=unconfined", `security_opt: [systempaths=unconfined]`, func(s *specs.Spec) any { return s.Linux.MaskedPaths }, `null`},
		{"seccomp by default", ``, func(s *specs.Spec) any { return s.Linux.Seccomp.DefaultAction }, `"SCMP_ACT_ERRNO"`},
		{"seccomp=unconfined", `security_opt: ["seccomp:unconfined"]`, func(s *specs.Spec) any { return s.Linux.Seccomp }, `null`},
		{"no-new-privileges", `security_opt: [no-new-privileges]`, func(s *specs.Spec) any { return s.Process.NoNewPrivileges }, `true`},
		{"no-new-privileges: off", `security_opt: ["no-new-privileges:false"]`, func(s *specs.Spec) any { return s.Process.NoNewPrivileges }, `false`},
		{"/sys", ``, mount("/sys"), `"sysfs nosuid,noexec,nodev,ro"`},
		{"/dev/shm", ``, mount("/dev/shm"), `"tmpfs nosuid,noexec,nodev,mode=1777,size=67108864"`},
		{"shm_size", `shm_size: 4096`, mount("/dev/shm"), `"tmpfs nosuid,noexec,nodev,mode=1777,size=4096"`},
		{"ipc: none", `ipc: none`, mount("/dev/shm"), `null`},
		{"/dev/mqueue", ``, mount("/dev/mqueue"), `"mqueue nosuid,noexec,nodev"`},
		{"devices: none but runc's own", ``, devices, `[{"allow":false,"access":"rwm"}]`},
		{"devices", `devices: [{source: /dev/null, target: /dev/mine, permissions: r}]`, devices,
			`[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"r"}]`},
		{"device_cgroup_rules", `device_cgroup_rules: ["c 10:* rm"]`, devices, `[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"access":"rm"}]`},
		{"sysctls, over the defaults of a network", `sysctls: {net.core.somaxconn: "9", net.ipv4.ip_unprivileged_port_start: "80"}`, func(s *specs.Spec) any { return s.Linux.Sysctl },
			`{"net.core.somaxconn":"9","net.ipv4.ip_unprivileged_port_start":"80","net.ipv4.ping_group_range":"0 2147483647"}`},
		{"annotations", `annotations: {a: b}`, func(s *specs.Spec) any { return s.Annotations }, `{"a":"b"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, warnings, err := build(t, tt.service)
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			if got, _ := json.Marshal(tt.show(s)); string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSpecErrors(t *testing.T) {
	for _, tt := range []struct{ name, service, want string }{
		{"unknown capability", `cap_add: [FLY]`, `cap_add: "FLY" is no capability of Linux`},
		{"capability that the engine lacks", `cap_add: [SYS_TIME]`, `cap_add: the engine itself does not have CAP_SYS_TIME`},
		{"unknown security_opt", `security_opt: [nonsense=1]`, `security_opt: "nonsense=1" is not understood`},
		{"bad no-new-privileges", `security_opt: ["no-new-privileges:maybe"]`, `security_opt: "no-new-privileges:maybe" is not understood`},
		{"seccomp profile that is not there", `security_opt: [seccomp=/nowhere.json]`, `security_opt: seccomp profile: open /nowhere.json: no such file or directory`},
		{"bad label", `security_opt: ["label=shape:round"]`, `security_opt: label "shape:round" is none of user:, role:, type:, level:, filetype: and disable`},
		{"device that is not there", `devices: [{source: /dev/nowhere}]`, `devices: /dev/nowhere: no such file or directory`},
		{"not a device", `devices: [{source: /etc/passwd}]`, `devices: /etc/passwd is not a device`},
		{"device permissions", `devices: [{source: /dev/null, permissions: rx}]`, `devices: /dev/null: permissions "rx" have letters other than r, w and m`},
		{"device rule", `device_cgroup_rules: ["c 1 r"]`, `device_cgroup_rules: "c 1 r" is not TYPE MAJOR:MINOR PERMISSIONS`},
		{"unknown ulimit", `ulimits: {wings: {single: 1}}`, `ulimits: "wings" is no limit of Linux`},
		{"cgroup mode", `cgroup: public`, `cgroup: "public" is neither host nor private`},
		{"block device", `blkio_config: {weight_device: [{path: /dev/null, weight: 10}]}`, `blkio_config.weight_device: /dev/null is not a block device`},
		{"init that is not there", `init: true`, `init: the engine's compose-init is not at ""`},
		{"more CPUs than there are", `cpus: 2.5`, `cpus: 2.5 are more than the 2 of this host`},
		{"a CPU that is not there", `cpuset: 0-2`, `cpuset: this host has no CPU 2`},
		{"no list of CPUs", `cpuset: 1-0`, `cpuset: "1-0" is not a list of CPUs, as in 0-3,8`},
		{"nothing to run", `entrypoint: []`, `neither the service nor its image says what to run`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := build(t, tt.service)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestSpecWarnings(t *testing.T) {
	poor := func(in *specInput) {
		in.host.Caps = defaultCaps
		in.host.OOMScoreAdj = 10
		in.host.SwapLimits = false
	}
	v1 := func(in *specInput) { in.host.CgroupV2 = false }
	for _, tt := range []struct {
		name, service string
		host          func(*specInput)
		want          string
	}{
		{"ulimit above the host's", `ulimits: {nofile: {single: 30000}}`, poor, `ulimits: nofile is limited to 20000 here`},
		{"ulimit above the kernel's", `ulimits: {nofile: {single: 9999999}}`, v1, `ulimits: nofile is limited to 1048576 here`},
		{"oom_score_adj below the engine's", `oom_score_adj: -5`, poor, `oom_score_adj: -5 is not allowed here, 10 is used`},
		{"the default below the engine's is no news", ``, poor, ``},
		{"swap is not accounted for", `{mem_limit: 4096, memswap_limit: 8192}`, poor, `memswap_limit: the kernel does not account for swap`},
		{"swappiness on v2", `mem_swappiness: 5`, nil, `mem_swappiness: cgroup v2 has no such setting`},
		{"swappiness on v1", `mem_swappiness: 5`, v1, ``},
		{"oom_kill_disable on v2", `oom_kill_disable: true`, nil, `oom_kill_disable: cgroup v2 has no such setting`},
		{"real-time CPU", `cpu_rt_runtime: 5`, nil, `cpu_rt_runtime, cpu_rt_period: the host has no real-time groups`},
		{"no AppArmor", `security_opt: [apparmor=strict]`, nil, `security_opt: apparmor=strict: the host has no AppArmor`},
		{"no SELinux", `security_opt: ["label=type:x_t"]`, nil, `security_opt: label: the host has no SELinux labels for containers`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.host == nil {
				tt.host = func(*specInput) {}
			}
			_, warnings, err := build(t, tt.service, tt.host)
			if got := strings.Join(warnings, "; "); err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestSpecOfRecord(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*specInput)
		want   string
	}{
		{"network of the host", func(in *specInput) { in.Netns = ""; in.Record.NetworkMode = "host" }, "cgroup ipc mount pid uts"},
		{"no network", func(in *specInput) { in.Netns = ""; in.Record.NetworkMode = "none" }, "cgroup ipc mount network pid uts"},
		{"pid: host", func(in *specInput) { in.Record.PIDMode = "host" }, "cgroup ipc mount network pid=host uts"},
		{"ipc: host", func(in *specInput) { in.Record.IPCMode = "host" }, "cgroup mount network pid uts"},
		{"cgroups v1 are the host's", func(in *specInput) { in.host.CgroupV2 = false }, "ipc mount network pid uts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _, err := build(t, ``, tt.change)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range s.Linux.Namespaces {
				got = append(got, string(n.Type))
			}
			slices.Sort(got)
			if want := strings.Replace(tt.want, "pid=host ", "", 1); strings.Join(got, " ") != want {
				t.Errorf("got %v, want %s", got, want)
			}
		})
	}
}

func TestMountsOfAContainer(t *testing.T) {
	s, _, err := build(t, ``, func(in *specInput) {
		in.Mounts = []Mount{
			{Type: "bind", Source: "/a", Target: "/data/deep/er"},
			{Type: "bind", Source: "/b", Target: "/data", Options: []string{"rbind", "rslave", "ro"}},
			{Type: "bind", Source: "/c", Target: "/etc/hosts"},
			{Type: "tmpfs", Source: "tmpfs", Target: "/dev/shm", Options: []string{"size=1m"}},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range s.Mounts {
		got = append(got, m.Destination+" "+strings.Join(m.Options, ","))
	}
	want := []string{
		"/data rbind,rslave,ro",
		"/etc/hosts rbind,rprivate",
		"/dev/shm size=1m",
		"/etc/hostname bind,rprivate",
		"/etc/resolv.conf bind,rprivate",
		"/data/deep/er rbind,rprivate",
	}
	if !slices.Equal(got[6:], want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if s.Linux.RootfsPropagation != "rslave" {
		t.Errorf("root propagation %q", s.Linux.RootfsPropagation)
	}
}

// withCaps is a spec with nothing but capabilities.
func withCaps(caps ...string) *specs.Spec {
	return &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
}

func TestParseSeccomp(t *testing.T) {
	profile := `{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],"syscalls":[
		{"names":["mkdir"],"action":"SCMP_ACT_ERRNO","errnoRet":5},
		{"names":["mount"],"action":"SCMP_ACT_ERRNO","excludes":{"caps":["CAP_SYS_ADMIN"]}},
		{"names":["reboot"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_BOOT"]}},
		{"name":"chmod","action":"SCMP_ACT_ERRNO","includes":{"arches":["nowhere"]}}]}`
	for _, tt := range []struct {
		name string
		caps []string
		want string
	}{
		{"what depends on no capability, or on its lack", nil, "mkdir mount"},
		{"what depends on one", []string{"CAP_SYS_ADMIN", "CAP_SYS_BOOT"}, "mkdir reboot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			filter, err := parseSeccomp(profile, withCaps(tt.caps...))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range filter.Syscalls {
				got = append(got, s.Names...)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
		})
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"defaultAction":5}`} {
		if _, err := parseSeccomp(bad, withCaps()); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestSeccompProfileBesideTheComposeFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.json"), []byte(`{"defaultAction":"SCMP_ACT_LOG"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, err := build(t, `security_opt: [seccomp=p.json]`, func(in *specInput) {
		in.Labels = map[string]string{project.LabelWorkingDir: dir}
	})
	if err != nil || s.Linux.Seccomp.DefaultAction != "SCMP_ACT_LOG" {
		t.Errorf("%v, %+v", err, s)
	}
}

func TestIdentity(t *testing.T) {
	known := identities{
		passwd: []byte("root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/:/bin/sh\n"),
		group:  []byte("root:x:0:\nwheel:x:10:root,web\nstaff:x:50:\n"),
	}
	for _, tt := range []struct{ who, groups, want string }{
		{"", "", "0:0 [0 10]"},
		{"root", "", "0:0 [0 10]"},
		{"web", "", "1000:1001 [1001 10]"},
		{"1000", "", "1000:1001 [1001 10]"},
		{"web:staff", "", "1000:50 [50]"},
		{"7:8", "", "7:8 [8]"},
		{"7", "", "7:0 [0]"},
		{"7:8", "staff 99", "7:8 [8 50 99]"},
		{"nobody", "", `user "nobody": unable to find user nobody: no matching entries in passwd file`},
		{"", "nogroup", `group_add: unable to find group nogroup: no matching entries in group file`},
	} {
		t.Run(tt.who+"+"+tt.groups, func(t *testing.T) {
			id, err := known.find(tt.who, strings.Fields(tt.groups))
			got := fmt.Sprintf("%d:%d %v", id.uid, id.gid, id.groups)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNeedsNames(t *testing.T) {
	for _, tt := range []struct {
		who, groups string
		want        bool
	}{
		{"", "", true}, {"5", "", true}, {"5:6", "", false}, {"5:6", "7 8", false}, {"5:6", "7 x", true}, {"a:6", "", true}, {"5:b", "", true},
	} {
		if got := needsNames(tt.who, strings.Fields(tt.groups)); got != tt.want {
			t.Errorf("%q %q: %v", tt.who, tt.groups, got)
		}
	}
}

func TestReadInsideIsKeptInside(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "root/etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"passwd": "../../../secret", "group": "/etc/real"} {
		if err := os.Symlink(target, filepath.Join(dir, "root/etc", link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"secret": "outside", "root/etc/real": "inside"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"etc/passwd": "", "etc/group": "inside", "etc/none": ""} {
		if got, err := readInside(filepath.Join(dir, "root"), name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestPropagationOfService(t *testing.T) {
	var c types.ServiceConfig // the zero service is one that says nothing
	s, _, err := build(t, ``, func(in *specInput) { in.Service = c; in.Propagation = "rshared" })
	if err != nil || s.Linux.RootfsPropagation != "rshared" {
		t.Errorf("%v", err)
	}
}
