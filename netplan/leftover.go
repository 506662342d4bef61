package netplan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Leftover is something in the kernel's network that an engine has made, and
// that neither a network nor a container needs.
type Leftover struct {
	Kind   string // "bridge", "interface", "nftables elements", "nftables table", "nftables rule"
	Name   string
	remove func() error
}

// Remove takes it away; that it is gone already is no error.
func (l Leftover) Remove(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.remove(); err != nil {
		return fmt.Errorf("remove %s %s: %w", l.Kind, l.Name, err)
	}
	return nil
}

// Owners are those who own something in the kernel's network.
type Owners struct {
	Networks   []Network             // all that have a record
	Containers map[string]bool       // by id, of this engine; nil: not known
	Engine     func(tag string) bool // whether the engine of a tag, layout.Root.Tag, may be alive
}

// Leftovers lists what none of the owners owns, of this engine and of those
// that are gone. Look at the owners after, or while, this is called: what is
// made meanwhile belongs to one of them.
func (h *Host) Leftovers(owners func() (Owners, error)) ([]Leftover, error) {
	links, err := listLinks()
	if err != nil {
		return nil, err
	}
	var left []Leftover
	err = h.tables(func(c *nftables.Conn) error {
		tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
		if err != nil {
			return fmt.Errorf("list nftables: %w", err)
		}
		rules, err := markedRules(c)
		if err != nil {
			return err
		}
		var bridges []string
		if slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == h.tag }) {
			if bridges, err = newTable(h.tag).listed(c); err != nil {
				return err
			}
		}
		o, err := owners()
		if err != nil {
			return err
		}
		left = slices.Concat(h.leftLinks(links, o), h.leftTables(tables, o), h.leftRules(rules, o), h.leftRows(bridges, o))
		return nil
	})
	return left, err
}

// mark is how an engine marks what it makes: its tag, then what it is for.
var mark = regexp.MustCompile(`^compose(?:-([0-9a-f]{8}))?(?:: | |$)`)

// marked returns the tag of the engine that has made something, as
// layout.Root.Tag has it.
func marked(text string) (tag string, ok bool) {
	m := mark.FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// own is this engine's tag as layout.Root.Tag has it.
func (h *Host) own() string { return h.root.Tag() }

// leftLinks are bridges without a network, or without an engine, and wires in
// bridges of ours that lead to no container.
func (h *Host) leftLinks(links []netlink.Link, o Owners) []Leftover {
	ends := map[string]bool{} // names of host ends, without the place
	for id := range o.Containers {
		end := hostEnd(h.root.Netns(id), 0)
		ends[end[:len(end)-2]] = true
	}
	ours, used := map[int]bool{}, map[int]bool{} // bridges by index: of this engine; with wires in them
	for _, l := range links {
		a := l.Attrs()
		tag, ok := marked(a.Alias)
		ours[a.Index] = ok && tag == h.own() && l.Type() == "bridge"
		used[a.MasterIndex] = true
	}
	var left []Leftover
	for _, l := range links {
		a := l.Attrs()
		tag, isMarked := marked(a.Alias)
		switch {
		case l.Type() == "bridge" && isMarked && tag == h.own() && !h.hasBridge(o, a.Name),
			l.Type() == "bridge" && isMarked && tag != h.own() && !o.Engine(tag) && !used[a.Index]:
			left = append(left, leftLink("bridge", l))
		case o.Containers != nil && l.Type() == "veth" && ours[a.MasterIndex] && strings.HasPrefix(a.Name, "cv") && len(a.Name) > 2 && !ends[a.Name[:len(a.Name)-2]]:
			left = append(left, leftLink("interface", l))
		}
	}
	return left
}

func leftLink(kind string, l netlink.Link) Leftover {
	return Leftover{Kind: kind, Name: l.Attrs().Name, remove: func() error {
		now, err := netlink.LinkByIndex(l.Attrs().Index)
		if isMissing(err) || err == nil && now.Attrs().Name != l.Attrs().Name {
			return nil
		}
		if err != nil {
			return err
		}
		if err := netlink.LinkDel(now); err != nil && !errors.Is(err, unix.ENODEV) {
			return err
		}
		return nil
	}}
}

// hasBridge tells whether a network has a bridge.
func (h *Host) hasBridge(o Owners, bridge string) bool {
	return slices.ContainsFunc(o.Networks, func(n Network) bool { return n.Driver == DriverBridge && n.Bridge == bridge })
}

// leftTables are those of engines that are gone.
func (h *Host) leftTables(tables []*nftables.Table, o Owners) []Leftover {
	var left []Leftover
	for _, t := range tables {
		tag, ok := marked(t.Name)
		if !ok || tag == h.own() || o.Engine(tag) {
			continue
		}
		left = append(left, Leftover{Kind: "nftables table", Name: t.Name, remove: func() error {
			return h.tables(func(c *nftables.Conn) error {
				c.DelTable(t)
				return goneIsFine(c.Flush())
			})
		}})
	}
	return left
}

// markedRule is a rule of an engine in a chain of others.
type markedRule struct {
	rule   *nftables.Rule
	tag    string
	bridge string
}

// markedRules lists the rules of all engines in the chains of others.
func markedRules(c *nftables.Conn) ([]markedRule, error) {
	var found []markedRule
	for _, f := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		chains, err := foreignChains(c, f)
		if err != nil {
			return nil, err
		}
		for _, chain := range chains {
			rules, err := c.GetRules(chain.Table, chain)
			if err != nil {
				return nil, fmt.Errorf("list rules of chain %s: %w", chain.Name, err)
			}
			for _, r := range rules {
				comment, _ := userdata.GetString(r.UserData, userdata.TypeComment)
				_, bridge, isRule := strings.Cut(comment, ": ")
				if tag, ok := marked(comment); ok && isRule {
					r.Table, r.Chain = chain.Table, chain
					found = append(found, markedRule{r, tag, bridge})
				}
			}
		}
	}
	return found, nil
}

// leftRules are those for bridges that no network has.
func (h *Host) leftRules(rules []markedRule, o Owners) []Leftover {
	var left []Leftover
	for _, r := range rules {
		if r.tag == h.own() && h.hasBridge(o, r.bridge) || r.tag != h.own() && o.Engine(r.tag) {
			continue
		}
		left = append(left, Leftover{
			Kind: "nftables rule", Name: fmt.Sprintf("for bridge %s in chain %s of table %s", r.bridge, r.rule.Chain.Name, r.rule.Table.Name),
			remove: func() error {
				return h.tables(func(c *nftables.Conn) error {
					if err := c.DelRule(r.rule); err != nil {
						return err
					}
					return goneIsFine(c.Flush())
				})
			},
		})
	}
	return left
}

func goneIsFine(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// listed are the bridges that the table has rows of, in any of its sets.
func (t *table) listed(c *nftables.Conn) ([]string, error) {
	var names []string
	for _, s := range []*nftables.Set{t.bridges, t.internal, t.open, t.pairs, t.own[0], t.own[1]} {
		elements, err := c.GetSetElements(s)
		if err != nil {
			return nil, fmt.Errorf("list nftables set %s: %w", s.Name, err)
		}
		for _, e := range elements {
			names = append(names, nameIn(e))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// nameIn is the interface whose name an element begins with.
func nameIn(e nftables.SetElement) string {
	name, _, _ := bytes.Cut(e.Key[:min(len(e.Key), unix.IFNAMSIZ)], []byte{0})
	return string(name)
}

// leftRows are the rows of bridges that no network has.
func (h *Host) leftRows(bridges []string, o Owners) []Leftover {
	var left []Leftover
	for _, bridge := range bridges {
		if h.hasBridge(o, bridge) {
			continue
		}
		left = append(left, Leftover{Kind: "nftables elements", Name: "of bridge " + bridge, remove: func() error {
			return h.tables(func(c *nftables.Conn) error { return newTable(h.tag).dropBridge(c, bridge, o.Networks) })
		}})
	}
	return left
}

// dropBridge takes out the rows of a bridge that no network has, and of the
// subnets that were behind it.
func (t *table) dropBridge(c *nftables.Conn, bridge string, networks []Network) error {
	var rows []row
	add := func(s *nftables.Set, match func(nftables.SetElement) bool) error {
		elements, err := c.GetSetElements(s)
		if err != nil {
			return fmt.Errorf("list nftables set %s: %w", s.Name, err)
		}
		for _, e := range elements {
			if match(e) {
				rows = append(rows, row{s, []nftables.SetElement{e}})
			}
		}
		return nil
	}
	var gateways []netip.Addr
	ofBridge := func(e nftables.SetElement) bool { return nameIn(e) == bridge }
	for i := range t.own {
		err := add(t.own[i], func(e nftables.SetElement) bool {
			a, ok := netip.AddrFromSlice(e.Key[unix.IFNAMSIZ:])
			if ok && ofBridge(e) {
				gateways = append(gateways, a)
			}
			return ofBridge(e)
		})
		if err != nil {
			return err
		}
		if err := add(t.gateways[i], func(e nftables.SetElement) bool {
			a, ok := netip.AddrFromSlice(e.Key)
			return ok && slices.Contains(gateways, a) && !isGateway(networks, a)
		}); err != nil {
			return err
		}
	}
	for _, s := range []*nftables.Set{t.bridges, t.internal, t.open, t.pairs} {
		if err := add(s, ofBridge); err != nil {
			return err
		}
	}
	for i := range t.subnets {
		for _, s := range []*nftables.Set{t.subnets[i], t.hidden[i]} {
			more, err := intervalsAround(c, s, gateways, networks)
			if err != nil {
				return err
			}
			rows = append(rows, more...)
		}
	}
	for _, r := range rows { // one by one: a row that goes meanwhile must not keep the others
		if err := t.deleteRows(c, []row{r}); goneIsFine(err) != nil {
			return err
		}
	}
	return nil
}

func isGateway(networks []Network, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n Network) bool {
		return slices.ContainsFunc(n.Pools, func(p Pool) bool { return p.Gateway == a })
	})
}

// intervalsAround are the intervals of a set in which one of the addresses is,
// but for those of networks.
func intervalsAround(c *nftables.Conn, s *nftables.Set, addresses []netip.Addr, networks []Network) ([]row, error) {
	elements, err := c.GetSetElements(s)
	if err != nil {
		return nil, fmt.Errorf("list nftables set %s: %w", s.Name, err)
	}
	slices.SortFunc(elements, func(a, b nftables.SetElement) int {
		if n := bytes.Compare(a.Key, b.Key); n != 0 || a.IntervalEnd == b.IntervalEnd {
			return n
		}
		if a.IntervalEnd { // of the subnet before, which ends where the next begins
			return -1
		}
		return 1
	})
	var rows []row
	for i, e := range elements {
		from, ok := netip.AddrFromSlice(e.Key)
		if e.IntervalEnd || !ok || isSubnet(networks, from) {
			continue
		}
		whole := []nftables.SetElement{e}
		var end netip.Addr // the first address behind; none: to the end of all
		if i+1 < len(elements) && elements[i+1].IntervalEnd {
			whole = append(whole, elements[i+1])
			end, _ = netip.AddrFromSlice(elements[i+1].Key)
		}
		if slices.ContainsFunc(addresses, func(a netip.Addr) bool {
			return a.BitLen() == from.BitLen() && !a.Less(from) && (!end.IsValid() || a.Less(end))
		}) {
			rows = append(rows, row{s, whole})
		}
	}
	return rows, nil
}

func isSubnet(networks []Network, first netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n Network) bool {
		return slices.ContainsFunc(n.Pools, func(p Pool) bool { return p.Subnet.Masked().Addr() == first })
	})
}
