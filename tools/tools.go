//go:build tools

// Package tools pins the programs that compose is built and tested with. The
// Makefile builds them from this module, so their versions stand in one place
// and never mix with the libraries of compose itself.
package tools

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
	_ "github.com/distribution/distribution/v3/cmd/registry"
	_ "github.com/moby/buildkit/cmd/buildctl"
	_ "github.com/moby/buildkit/cmd/buildkitd"
	_ "github.com/opencontainers/runc"
	_ "honnef.co/go/tools/cmd/staticcheck"
)
