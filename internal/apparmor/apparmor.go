// Package apparmor knows the AppArmor profiles of the host, and loads the one
// that confines containers and the steps of builds.
package apparmor

import (
	"fmt"
	"os"
	"strings"

	profiles "github.com/containerd/containerd/v2/contrib/apparmor"
	support "github.com/containerd/containerd/v2/pkg/apparmor"
)

// Default is the profile of whoever asks for no other: Docker's rules, under a
// name of our own.
const Default = "compose-default"

// List is where the kernel names the profiles that it has, one a line:
// "docker-default (enforce)". Only root may read it.
// Source: Linux, security/apparmor/apparmorfs.c.
const List = "/sys/kernel/security/apparmor/profiles"

// Enabled tells whether the kernel has AppArmor switched on, and the host the
// tool that loads profiles.
func Enabled() bool { return support.HostSupports() }

// Load makes sure that the kernel knows Default: it forgets with each boot.
func Load() error {
	if err := profiles.LoadDefaultProfile(Default); err != nil {
		return fmt.Errorf("load AppArmor profile %s: %w", Default, err)
	}
	return nil
}

// Loaded tells whether list, the file List, names a profile.
func Loaded(list, profile string) (bool, error) {
	text, err := os.ReadFile(list)
	if err != nil {
		return false, fmt.Errorf("look for AppArmor profile %s: %w", profile, err)
	}
	for line := range strings.Lines(string(text)) {
		// The mode is the last word; a name may hold blanks itself.
		if end := strings.LastIndex(line, " ("); end >= 0 && line[:end] == profile {
			return true, nil
		}
	}
	return false, nil
}
