package netplan

import (
	"fmt"

	"github.com/google/nftables"
)

// RulesThere reports whether the engine's nftables table is there. Any network
// of a running container needs it.
func (h *Host) RulesThere() (bool, error) {
	c, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open nftables: %w", err)
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, fmt.Errorf("list nftables tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == h.tag {
			return true, nil
		}
	}
	return false, nil
}
