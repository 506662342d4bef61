package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// noteAddress notes once that the containers of this engine root are in a
// containerd that is not its own: nobody else could tell later whom to ask for
// them.
func (c *Client) noteAddress() error {
	if c.own() {
		return nil
	}
	sum := sha256.Sum256([]byte(c.cfg.Address))
	path := c.cfg.Root.Elsewhere(hex.EncodeToString(sum[:4]))
	if exists(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("note the containerd in use: %w", err)
	}
	if err := os.WriteFile(path, []byte(c.cfg.Address+"\n"), 0o600); err != nil {
		return fmt.Errorf("note the containerd in use: %w", err)
	}
	return nil
}

// own tells whether the client is connected to the engine's own containerd.
func (c *Client) own() bool {
	return strings.TrimPrefix(c.cfg.Address, "unix://") == c.cfg.Root.ContainerdSocket()
}

// Elsewhere are the addresses of the containerds, besides the one that the
// client is connected to, that have had containers of this engine root.
func (c *Client) Elsewhere() ([]string, error) {
	var others []string
	if !c.own() && exists(c.cfg.Root.ContainerdRoot()) {
		others = append(others, c.cfg.Root.ContainerdSocket())
	}
	entries, err := os.ReadDir(c.cfg.Root.Elsewhere(""))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for other containerds: %w", err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(c.cfg.Root.Elsewhere(e.Name()))
		if err != nil {
			return nil, fmt.Errorf("look for other containerds: %w", err)
		}
		if address := strings.TrimSpace(string(text)); address != c.cfg.Address {
			others = append(others, address)
		}
	}
	return others, nil
}
