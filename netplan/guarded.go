package netplan

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// guarded returns the IPv4 subnets that the tables of engines, this and others,
// hold for their networks. A table may outlive its networks, when an engine was
// killed or its folder removed, and drops what anybody else sends from there: a
// subnet that has no route any more is not free before the table is gone.
func (h *Host) guarded() ([]netip.Prefix, error) {
	var all []netip.Prefix
	err := h.tables(func(c *nftables.Conn) error {
		tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
		if err != nil {
			return fmt.Errorf("list nftables: %w", err)
		}
		for _, t := range tables {
			if !mark.MatchString(t.Name) {
				continue
			}
			elements, err := c.GetSetElements(newTable(t.Name).subnets[0])
			if missing(err) {
				continue // deleted meanwhile, or not filled yet
			}
			if err != nil {
				return fmt.Errorf("list subnets of table %s: %w", t.Name, err)
			}
			all = append(all, subnetsOf(elements)...)
		}
		return nil
	})
	return all, err
}

// missing reports whether the kernel has no such set or table. Of what it says
// to a listing, the library hands on no more than the text.
func missing(err error) bool {
	return err != nil && strings.Contains(err.Error(), unix.ENOENT.Error())
}

// subnetsOf reads the rows that interval has made: a first address, and the one
// behind the last unless the next row begins there.
func subnetsOf(elements []nftables.SetElement) []netip.Prefix {
	slices.SortFunc(elements, func(a, b nftables.SetElement) int {
		if order := slices.Compare(a.Key, b.Key); order != 0 {
			return order
		}
		return -cmp.Compare(boolInt(a.IntervalEnd), boolInt(b.IntervalEnd)) // an end before a beginning
	})
	var subnets []netip.Prefix
	var first []byte
	for _, e := range elements {
		if first != nil && len(e.Key) == 4 && len(first) == 4 {
			from, to := binary.BigEndian.Uint32(first), binary.BigEndian.Uint32(e.Key)
			if to > from {
				a := netip.AddrFrom4([4]byte(first))
				subnets = append(subnets, netip.PrefixFrom(a, 32-bits.Len32(to-from-1)).Masked())
			}
		}
		first = e.Key
		if e.IntervalEnd {
			first = nil
		}
	}
	return subnets
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
