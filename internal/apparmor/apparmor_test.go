package apparmor

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLoaded(t *testing.T) {
	list := filepath.Join(t.TempDir(), "profiles")
	text := "compose-default (enforce)\nnvidia_modprobe//kmod (complain)\n/usr/bin/man (1) (enforce)\n"
	if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for profile, want := range map[string]bool{
		Default:                 true,
		"nvidia_modprobe//kmod": true,
		"/usr/bin/man (1)":      true,
		"/usr/bin/man":          false,
		"compose":               false,
		"":                      false,
	} {
		if got, err := Loaded(list, profile); got != want || err != nil {
			t.Errorf("%q: %v, %v", profile, got, err)
		}
	}
	if _, err := Loaded(list+".none", Default); err == nil {
		t.Error("no error without a list")
	}
}

// TestLoad shows that the kernel takes the profile, on hosts with AppArmor.
func TestLoad(t *testing.T) {
	if !Enabled() {
		if err := Load(); err == nil {
			t.Error("a profile was loaded on a host without AppArmor")
		}
		return
	}
	if err := Load(); err != nil {
		t.Fatal(err)
	}
	if there, err := Loaded(List, Default); !there || err != nil {
		t.Errorf("the kernel does not have it: %v, %v", there, err)
	}
}
