package engine

import (
	"os"
	"runtime"
	"testing"
)

func TestTrySysctls(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const somaxconn, own = "/proc/sys/net/core/somaxconn", "/proc/thread-self/ns/net"
	before, home := read(t, somaxconn), link(t, own)
	for _, tt := range []struct{ name, key, value, want string }{
		{"of a network", "net.core.somaxconn", "77", ""},
		{"of interfaces that come later", "net.ipv4.conf.eth0.rp_filter", "2", ""},
		{"of memory and queues that are shared", "kernel.shm_rmid_forced", "1", ""},
		{"a name", "kernel.domainname", "example", ""},
		{"what a module may bring", "net.netfilter.nf_conntrack_none", "1", ""},
		{"none of a network", "net.ipv4.none", "1", "sysctls: net.ipv4.none: this kernel has no such setting: correct the name, or leave it out"},
		{"none of an interface", "net.ipv4.conf.eth0.none", "1", "sysctls: net.ipv4.conf.eth0.none: this kernel has no such setting: correct the name, or leave it out"},
		{"what is no value", "net.core.somaxconn", "many", `sysctls: net.core.somaxconn: the kernel refuses the value "many"`},
		{"too small a value", "net.ipv4.ip_default_ttl", "0", `sysctls: net.ipv4.ip_default_ttl: the kernel refuses the value "0"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := trySysctls(map[string]string{tt.key: tt.value}); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if now := read(t, somaxconn); now != before {
		t.Errorf("the host's setting was %s and is %s", before, now)
	}
	if now := link(t, own); now != home {
		t.Errorf("the thread was in %s and is in %s", home, now)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func link(t *testing.T, path string) string {
	t.Helper()
	to, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return to
}
