package engine

import (
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// goArch is the machine's architecture in the words of a seccomp profile.
func goArch() string { return runtime.GOARCH }

// nativeArch is the machine's architecture in seccomp's words.
// Source: seccomp_arch_native(3).
func nativeArch() specs.Arch {
	switch runtime.GOARCH {
	case "amd64":
		return specs.ArchX86_64
	case "arm64":
		return specs.ArchAARCH64
	case "arm":
		return specs.ArchARM
	case "386":
		return specs.ArchX86
	case "ppc64le":
		return specs.ArchPPC64LE
	case "s390x":
		return specs.ArchS390X
	case "riscv64":
		return specs.ArchRISCV64
	}
	return ""
}
