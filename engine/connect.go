package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/compose-first/compose/internal/layout"
)

// Config says which containerd a Client talks to and where files are kept.
type Config struct {
	Address         string // socket path of containerd
	Root            layout.Root
	RuncPath        string // runc binary; "" lets the shim look in its PATH
	DockerConfigDir string // folder of Docker's config.json; "" is Docker's own rule
}

// NewID returns a fresh container id: 64 random hex digits.
func NewID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never returns an error
	return hex.EncodeToString(b[:])
}

// Connect connects to the containerd at cfg.Address and checks its version.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	panic("in progress")
}
