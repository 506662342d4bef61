package netplan

import "github.com/google/nftables"

// RulesThere reports whether the engine's nftables table is there, with the
// rules of this version in it. Any network of a running container needs it;
// Ensure and Publish bring it back.
func (h *Host) RulesThere() (bool, error) {
	there := false
	err := h.tables(func(c *nftables.Conn) error {
		there = newTable(h.tag).whole(c)
		return nil
	})
	return there, err
}
