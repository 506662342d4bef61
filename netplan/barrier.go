package netplan

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Barrier is a chain of others that every forwarded packet has to pass, and
// that refuses what it does not know.
type Barrier struct {
	Family string // "ip", "ip6" or "inet"
	Table  string
	Chain  string
	Closed []string // bridges of ours that its own rules do not let through
	Jumps  bool     // it asks other chains, which may let them through
	// Ours tells that we let our bridges through it ourselves (foreign.go).
	Ours bool
}

func (b Barrier) String() string {
	return fmt.Sprintf("chain %s of table %s %s", b.Chain, b.Family, b.Table)
}

// Barriers returns the barriers between the networks and the outside.
func (h *Host) Barriers(networks []Network) ([]Barrier, error) {
	var barriers []Barrier
	err := h.tables(func(c *nftables.Conn) error {
		chains, err := c.ListChains()
		if err != nil {
			return fmt.Errorf("list nftables chains: %w", err)
		}
		for _, chain := range chains {
			if !forwards(chain) {
				continue
			}
			b, closed, err := h.barrier(c, chain, networks)
			if err != nil {
				return err
			}
			if closed {
				barriers = append(barriers, b)
			}
		}
		return nil
	})
	return barriers, err
}

// forwards tells whether the kernel sends forwarded packets through a chain of
// somebody else's.
func forwards(chain *nftables.Chain) bool {
	return chain.Hooknum != nil && *chain.Hooknum == *nftables.ChainHookForward && familyName(chain.Table.Family) != "" && !ownTable(chain.Table.Name)
}

// familyName is a family of packets that networks have, as nft calls it.
func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	case nftables.TableFamilyINet:
		return "inet"
	}
	return ""
}

// ownTable tells whether a table is of an engine of compose.
func ownTable(name string) bool { return name == "compose" || strings.HasPrefix(name, "compose-") }

// barrier looks at one chain. closed tells whether it is a barrier at all.
func (h *Host) barrier(c *nftables.Conn, chain *nftables.Chain, networks []Network) (b Barrier, closed bool, err error) {
	rules, err := c.GetRules(chain.Table, chain)
	if err != nil {
		return b, false, fmt.Errorf("list rules of chain %s: %w", chain.Name, err)
	}
	refuses := chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop
	if !refuses && (len(rules) == 0 || !refusesAll(rules[len(rules)-1])) {
		return b, false, nil
	}
	b = Barrier{Family: familyName(chain.Table.Family), Table: chain.Table.Name, Chain: chain.Name}
	b.Ours = chain.Table.Name == "filter" && chain.Name == "FORWARD" && chain.Table.Family != nftables.TableFamilyINet
	if b.Ours { // our rules are there, or where Docker wants those of others to be
		chains, err := foreignChains(c, chain.Table.Family)
		if err != nil {
			return b, false, err
		}
		for _, other := range chains {
			ours, err := h.ours(c, other)
			if err != nil {
				return b, false, err
			}
			rules = append(rules, ours...)
		}
	}
	b.Jumps = slices.ContainsFunc(rules, jumps)
	for _, n := range networks {
		ofFamily := chain.Table.Family != nftables.TableFamilyIPv6 || n.EnableIPv6
		if n.Driver == DriverBridge && ofFamily && !(letsThrough(rules, in, n.Bridge) && letsThrough(rules, out, n.Bridge)) {
			b.Closed = append(b.Closed, n.Bridge)
		}
	}
	return b, true, nil
}

// jumps tells whether a rule asks another chain.
func jumps(r *nftables.Rule) bool {
	return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		v, ok := e.(*expr.Verdict)
		return ok && (v.Kind == expr.VerdictJump || v.Kind == expr.VerdictGoto)
	})
}

// refusesAll tells whether a rule ends every packet that comes to it.
func refusesAll(r *nftables.Rule) bool {
	refused := false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Reject:
			refused = true
		case *expr.Verdict:
			refused = e.Kind == expr.VerdictDrop
		default:
			return false // a condition
		}
	}
	return refused
}

// letsThrough tells whether one of the rules accepts whatever comes in, or
// leaves, by a bridge: by its name, or by the beginning of it.
func letsThrough(rules []*nftables.Rule, key expr.MetaKey, bridge string) bool {
	return slices.ContainsFunc(rules, func(r *nftables.Rule) bool {
		matches, accepts := false, false
		for i, e := range r.Exprs {
			switch e := e.(type) {
			case *expr.Meta:
				if e.Key != key {
					return false
				}
			case *expr.Cmp:
				if i == 0 || e.Op != expr.CmpOpEq || !bytes.HasPrefix(ifname(bridge), e.Data) {
					return false
				}
				matches = true
			case *expr.Verdict:
				accepts = e.Kind == expr.VerdictAccept
			case *expr.Counter, *expr.Log:
			default:
				return false // a further condition
			}
		}
		return matches && accepts
	})
}

// LegacyFilter tells whether the packet filter that was before nftables is in
// use for forwarded packets. It is looked at by iptables-legacy alone.
// Source: Linux, net/ipv4/netfilter/ip_tables.c.
func LegacyFilter() bool {
	b, err := os.ReadFile("/proc/net/ip_tables_names")
	return err == nil && slices.Contains(strings.Fields(string(b)), "filter")
}
