package netplan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// An accept in our table is no more than our opinion: a packet also has to pass
// every other table. Docker, and common firewalls, set the FORWARD chain of
// iptables to drop what they do not know. There, and nowhere else, rules of
// ours say which bridges are known; they carry our tag, and are all that is
// ever touched.

// userChain is the chain that Docker leaves to others and never clears.
const userChain = "DOCKER-USER"

// passForeign lets the network's packets through the filter tables of others.
func (h *Host) passForeign(c *nftables.Conn, n Network) error {
	for _, f := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		if f == nftables.TableFamilyIPv6 && !n.EnableIPv6 {
			continue
		}
		chain, err := closedChain(c, f)
		if err != nil || chain == nil {
			return err
		}
		rules, err := h.ours(c, chain)
		if err != nil {
			return err
		}
		comment := h.foreignComment(n.Bridge)
		rules = slices.DeleteFunc(rules, func(r *nftables.Rule) bool {
			text, _ := userdata.GetString(r.UserData, userdata.TypeComment)
			return text != comment
		})
		if len(rules) == 2 {
			continue
		}
		for _, r := range rules { // one of the two was taken out by hand
			r.Table, r.Chain = chain.Table, chain
			if err := c.DelRule(r); err != nil {
				return fmt.Errorf("take rule out of chain %s: %w", chain.Name, err)
			}
		}
		for _, key := range []expr.MetaKey{in, out} {
			c.InsertRule(&nftables.Rule{
				Table: chain.Table, Chain: chain,
				Exprs:    rule(named(key, n.Bridge), []expr.Any{&expr.Counter{}}, accept()),
				UserData: userdata.AppendString(nil, userdata.TypeComment, comment),
			})
		}
		if err := c.Flush(); err != nil {
			return fmt.Errorf("let bridge through chain %s: %w", chain.Name, err)
		}
	}
	return nil
}

// unpassForeign takes our rules for a bridge back; those for all bridges when it is "".
func (h *Host) unpassForeign(c *nftables.Conn, bridge string) error {
	for _, f := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		chains, err := foreignChains(c, f)
		if err != nil {
			return err
		}
		for _, chain := range chains {
			rules, err := h.ours(c, chain)
			if err != nil {
				return err
			}
			for _, r := range rules {
				if comment, _ := userdata.GetString(r.UserData, userdata.TypeComment); bridge != "" && comment != h.foreignComment(bridge) {
					continue
				}
				r.Table, r.Chain = chain.Table, chain
				if err := c.DelRule(r); err != nil {
					return fmt.Errorf("take rule out of chain %s: %w", chain.Name, err)
				}
			}
			if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("take rules out of chain %s: %w", chain.Name, err)
			}
		}
	}
	return nil
}

// ours returns the rules of a chain that carry our tag.
func (h *Host) ours(c *nftables.Conn, chain *nftables.Chain) ([]*nftables.Rule, error) {
	rules, err := c.GetRules(chain.Table, chain)
	if err != nil {
		return nil, fmt.Errorf("list rules of chain %s: %w", chain.Name, err)
	}
	var mine []*nftables.Rule
	for _, r := range rules {
		comment, _ := userdata.GetString(r.UserData, userdata.TypeComment)
		if strings.HasPrefix(comment, h.foreignComment("")) {
			mine = append(mine, r)
		}
	}
	return mine, nil
}

func (h *Host) foreignComment(bridge string) string { return h.tag + ": " + bridge }

// closedChain returns the chain in which a family's forwarded packets must be
// let through: nil when no one drops them.
func closedChain(c *nftables.Conn, f nftables.TableFamily) (*nftables.Chain, error) {
	chains, err := foreignChains(c, f)
	if err != nil {
		return nil, err
	}
	var closed *nftables.Chain
	for _, chain := range chains {
		if chain.Name == userChain {
			return chain, nil
		}
		if chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop {
			closed = chain
		}
	}
	return closed, nil
}

// foreignChains returns the chains of iptables, and of Docker in it, that may hold rules of ours.
func foreignChains(c *nftables.Conn, f nftables.TableFamily) ([]*nftables.Chain, error) {
	chains, err := c.ListChainsOfTableFamily(f)
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	var found []*nftables.Chain
	for _, chain := range chains {
		if chain.Table.Name == "filter" && (chain.Name == "FORWARD" || chain.Name == userChain) {
			chain.Table.Family = f
			found = append(found, chain)
		}
	}
	return found, nil
}
