package isolation

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-first/compose/internal/apparmor"
)

// TestContainer has programs inside of containers try what a container must
// not, by default and with each key that allows or forbids more.
//
// What is allowed and what is not is Docker's, so that an image runs here as
// it runs there.
func TestContainer(t *testing.T) {
	const perm = "EPERM"
	// What AppArmor refuses besides, before the kernel looks for a capability.
	passed, forbidden := "allowed", perm
	if apparmor.Enabled() {
		passed, forbidden = "EACCES", "EACCES"
	}
	byDefault := map[string]string{
		"CapEff": "00000000a80425fb", "CapBnd": "00000000a80425fb", "NoNewPrivs": "0", "Seccomp": "2", "euid": "0",
		"/dev":      "full null pts/ptmx random tty urandom zero",
		"processes": "2",

		"mount tmpfs": perm, "bind mount": perm, "remount /": perm, "unmount /proc": perm, "pivot root": perm, "open tree": perm,
		"unshare mounts": perm, "unshare network": perm, "unshare users": perm, "unshare pids": perm, "setns": perm,
		"keyctl": perm, "add key": perm, "bpf": perm, "perf events": perm, "io_uring": perm, "userfaultfd": perm,
		"kexec": perm, "load a module": perm, "reboot": perm, "swap": perm, "set the clock": perm, "kernel log": perm,
		"open by handle": perm, "vsock": perm, "change routes": perm,
		"memory by node": perm, "disk by node": perm, "kernel log by node": perm, "fuse by node": perm,
		"write /proc/sys": "EROFS", "write core_pattern": "EROFS", "write sysrq": "EROFS|ENOENT", "write /sys": "EROFS", "write cgroups": "EROFS",
		"read kcore": "empty: EOF|ENOENT|EACCES", "read keys": "empty: EOF", "read interrupts": "empty: EOF", "read timers": "empty: EOF|ENOENT", "read firmware": "empty",
		"host's root": "ENOENT",

		"trace a child": "allowed", "raw socket": "allowed", "null by node": "allowed", "make a fifo": "allowed",
		"make a directory": "allowed", "write to /": "allowed", "change an owner": "allowed",
	}
	for _, tt := range []struct {
		service, keys string
		want          map[string]string // "A|B": either, as the kernel has it or has it not
	}{
		{"default", ``, byDefault},
		{"privileged", `privileged: true`, map[string]string{
			"Seccomp": "0", "mount tmpfs": "allowed", "bind mount": "allowed", "open tree": "allowed", "unshare mounts": "allowed", "unshare network": "allowed",
			"unshare users": "allowed", "keyctl": "allowed", "memory by node": "allowed",
			"write /proc/sys": "allowed", "write core_pattern": "allowed", "write /sys": "allowed",
			"change routes": "allowed", "read keys": "allowed", "read interrupts": "allowed", "bpf": "allowed", "io_uring": "allowed", "kernel log": "allowed",
			"host's root": "ENOENT",
		}},
		{"unfiltered", `security_opt: [seccomp=unconfined]`, map[string]string{
			"Seccomp": "0", "CapEff": "00000000a80425fb", "keyctl": "allowed", "unshare users": "allowed", "mount tmpfs": forbidden, "io_uring": "allowed",
		}},
		{"profile", `security_opt: [seccomp=./deny.json]`, map[string]string{"Seccomp": "2", "make a directory": "EACCES", "keyctl": "allowed", "write to /": "allowed"}},
		{"open-paths", `security_opt: [systempaths=unconfined]`, map[string]string{"read keys": "allowed", "read interrupts": "allowed", "write /proc/sys": passed, "mount tmpfs": perm}},
		{"added", `cap_add: [SYS_ADMIN, net_admin]`, map[string]string{"CapEff": "00000000a82435fb", "mount tmpfs": passed, "change routes": "allowed", "write /proc/sys": "EROFS", "keyctl": perm, "memory by node": perm}},
		{"unconfined", "cap_add: [SYS_ADMIN]\n    security_opt: [apparmor=unconfined]", map[string]string{"mount tmpfs": "allowed", "write /proc/sys": "EROFS"}},
		{"dropped", `cap_drop: [MKNOD, CAP_NET_RAW, chown]`, map[string]string{"CapEff": "00000000a00405fa", "null by node": perm, "raw socket": perm, "change an owner": perm, "make a fifo": "allowed"}},
		{"bare", `cap_drop: [ALL]`, map[string]string{"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "raw socket": perm, "host's root": perm, "make a directory": "allowed"}},
		{"one", "cap_drop: [ALL]\n    cap_add: [CHOWN]", map[string]string{"CapEff": "0000000000000001", "change an owner": "allowed", "raw socket": perm}},
		{"still", `read_only: true`, map[string]string{"write to /": "EROFS", "remount /": perm}},
		{"user", `user: "1000:1000"`, map[string]string{"euid": "1000", "CapEff": "0000000000000000", "CapBnd": "00000000a80425fb", "write to /": "EACCES", "raw socket": perm, "change an owner": perm}},
		{"userns", `userns_mode: host`, map[string]string{"CapEff": "00000000a80425fb", "unshare users": perm, "mount tmpfs": perm}},
	} {
		t.Run(tt.service, func(t *testing.T) {
			t.Parallel()
			s := open(t, "container-"+tt.service, "compose.yaml", fmt.Sprintf(`
services:
  it:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    network_mode: none
    environment: {HOSTS_FILE: %q}
    volumes: ["%s:/probe:ro"]
    %s
`, probe, probe, tt.keys), "deny.json", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}`)
			s.must("up", "-d")
			names := slices.Sorted(maps.Keys(tt.want))
			got := s.must(append([]string{"exec", "-T", "it", "/probe"}, names...)...)
			for line := range strings.Lines(got) {
				name, outcome, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
				if !slices.Contains(strings.Split(tt.want[name], "|"), outcome) {
					t.Errorf("%s: %s, want %s", name, outcome, tt.want[name])
				}
				delete(tt.want, name)
			}
			for name := range tt.want {
				t.Errorf("%s: the probe says nothing", name)
			}
		})
	}
}

// TestStepsOfBuildsAreConfined as containers are, on a host with AppArmor.
func TestStepsOfBuildsAreConfined(t *testing.T) {
	const show = "cat /proc/self/attr/current 2>/dev/null || echo none"
	s := open(t, "steps", "compose.yaml", fmt.Sprintf(`
services:
  it:
    build: {context: ., dockerfile_inline: "FROM busybox\nRUN { %[1]s; } > /profile"}
    command: [sleep, infinity]
    network_mode: none
    stop_grace_period: 0s
`, show))
	s.must("up", "-d")
	step, container := s.must("exec", "-T", "it", "cat", "/profile"), s.must("exec", "-T", "it", "sh", "-c", show)
	if step != container || apparmor.Enabled() && !strings.HasPrefix(step, apparmor.Default) {
		t.Errorf("a step's profile is %q, a container's %q", step, container)
	}
}

// TestSetuid runs a program of root's with the setuid bit as another user.
func TestSetuid(t *testing.T) {
	s := open(t, "setuid", "compose.yaml", `
x-it: &it
  image: busybox
  command: [sleep, infinity]
  user: "1000"
  network_mode: none
  stop_grace_period: 0s
  volumes: ["./bin:/trap:ro"]
services:
  free: *it
  bound: {<<: *it, security_opt: [no-new-privileges]}
  bound2: {<<: *it, security_opt: ["no-new-privileges:true"]}
  free2: {<<: *it, security_opt: ["no-new-privileges=false"]}
`)
	program, err := os.ReadFile(probe)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, "bin", "probe")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	s.must("up", "-d")
	for service, want := range map[string]string{
		"free": "NoNewPrivs: 0\neuid: 0\n", "free2": "NoNewPrivs: 0\neuid: 0\n",
		"bound": "NoNewPrivs: 1\neuid: 1000\n", "bound2": "NoNewPrivs: 1\neuid: 1000\n",
	} {
		if got := s.must("exec", "-T", service, "/trap/probe", "NoNewPrivs", "euid"); got != want {
			t.Errorf("%s: got %q, want %q", service, got, want)
		}
	}
}

// TestSecurityOptionsThatCannotBe are found before anything is made, or said
// to have no effect on this host.
func TestSecurityOptionsThatCannotBe(t *testing.T) {
	for _, tt := range []struct{ name, keys, want string }{
		{"an unknown option", `security_opt: [nonsense=1]`, `service "it": security_opt: "nonsense=1" is not understood`},
		{"a profile that is not there", `security_opt: [seccomp=./none.json]`, `service "it": security_opt: seccomp profile: open .*/none.json: no such file`},
		{"a profile that is none", `security_opt: [seccomp=./bad.json]`, `service "it": security_opt: seccomp profile: .*defaultAction is missing`},
		{"a label that is none", `security_opt: ["label=shape:round"]`, `service "it": security_opt: label "shape:round" is none of`},
		{"a capability that is none", `cap_add: [FLY]`, `service "it": cap_add\[0\]: unknown capability "FLY"`},
		{"a user namespace that is none", `userns_mode: mine`, `service "it": userns_mode: unknown mode "mine"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, "cannot", "compose.yaml", "services: {it: {image: busybox, command: [sleep, infinity], "+tt.keys+"}}\n", "bad.json", `{}`)
			r := s.run("up", "-d")
			if r.Code != 1 || !regexp.MustCompile(tt.want).MatchString(r.Stderr) {
				t.Errorf("exit %d, %s", r.Code, r.Stderr)
			}
			if strings.Contains(r.Stderr, "Creat") {
				t.Errorf("something was made first:\n%s", r.Stderr)
			}
		})
	}
	code, want := 0, "the host has no AppArmor"
	if apparmor.Enabled() {
		code, want = 1, `service "it": security_opt: AppArmor profile "strict" is not loaded`
	}
	s := open(t, "profile", "compose.yaml", "services: {it: {image: busybox, command: ['true'], security_opt: [apparmor=strict]}}\n")
	if r := s.run("up", "-d"); r.Code != code || !strings.Contains(r.Stderr, want) || code != 0 && strings.Contains(r.Stderr, "Creat") {
		t.Errorf("exit %d, want %d: %s", r.Code, code, r.Stderr)
	}
}
