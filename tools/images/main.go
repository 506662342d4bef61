// Command images makes the base images that tests and the demo use, with no
// registry at hand, each as one tar file that `compose image load` reads:
//
//	images busybox OUT    docker.io/library/busybox:latest, from the host's static busybox
//	images debian OUT     docker.io/library/debian:bookworm-slim, by debootstrap
//	images systemd OUT    localhost/debian-systemd:bookworm, the same with systemd as its init
//
// The same inputs give the same file, byte for byte.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: images busybox|debian|systemd OUT")
	}
	kind, out := args[0], args[1]
	switch kind {
	case "busybox":
		return busybox(out)
	case "debian":
		return debian(out, "docker.io/library/debian:bookworm-slim")
	case "systemd":
		return debian(out, "localhost/debian-systemd:bookworm", "systemd-sysv")
	}
	return fmt.Errorf("unknown image %q", kind)
}
