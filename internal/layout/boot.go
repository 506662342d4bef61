package layout

import (
	"os"
	"strings"
)

// BootID names the running boot of the machine: another one after each reboot.
// It is "" where the kernel does not say.
// Source: Linux, Documentation/admin-guide/sysctl/kernel.rst, random/boot_id.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
