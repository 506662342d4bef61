package doctor

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/compose-first/compose/netplan"
)

// forwarding looks whether the host passes packets on between interfaces.
func forwarding(_ context.Context, c Config) []Finding {
	const file = "/proc/sys/net/ipv4/ip_forward"
	text, err := os.ReadFile(file)
	if err != nil {
		return []Finding{unknown("ip_forward", err)}
	}
	if strings.TrimSpace(string(text)) == "1" {
		return []Finding{{Status: OK, Found: "net.ipv4.ip_forward is 1", Means: "containers reach the outside, and are reached by published ports"}}
	}
	networks, _ := netplan.OpenStore(c.Root).List() // what cannot be read is told of by records
	for _, n := range networks {
		if _, err := os.Stat("/sys/class/net/" + n.Bridge); n.Driver == netplan.DriverBridge && n.Bridge != "" && err == nil {
			return []Finding{{Status: Problem, Found: "net.ipv4.ip_forward is 0 although network " + n.Name + " is up", Means: "somebody has switched it off, and no container reaches another network or the outside",
				Do: "run `sysctl -w net.ipv4.ip_forward=1`, and look for what sets it in /etc/sysctl.conf and /etc/sysctl.d"}}
		}
	}
	return []Finding{{Status: OK, Found: "net.ipv4.ip_forward is 0", Means: "no network is up; the first one switches it on"}}
}

// firewall looks for the packet filters of others.
func firewall(_ context.Context, c Config) []Finding {
	networks, _ := netplan.OpenStore(c.Root).List()
	h, err := netplan.NewHost(c.Root)
	if err != nil {
		return []Finding{unknown("the firewall", err)}
	}
	barriers, err := h.Barriers(networks)
	if err != nil {
		return []Finding{unknown("the firewall", err)}
	}
	var all []Finding
	for _, b := range barriers {
		all = append(all, barrier(b))
	}
	if netplan.LegacyFilter() {
		all = append(all, Finding{Status: Warning, Found: "the packet filter from before nftables (iptables-legacy) is in use", Means: "if its FORWARD chain drops what it does not know, containers do not reach the outside",
			Do: "look at `iptables-legacy -S FORWARD`; with `-P FORWARD DROP`, run `iptables-legacy -I FORWARD -i cb+ -j ACCEPT` and the same with -o, or switch to nftables (`update-alternatives --config iptables`)"})
	}
	if len(all) == 0 {
		all = append(all, Finding{Status: OK, Found: "no packet filter of others drops what is forwarded", Means: "containers reach the outside"})
	}
	return all
}

// barrier says what a chain of others does to our networks.
func barrier(b netplan.Barrier) Finding {
	f := Finding{Status: OK, Found: b.String() + " refuses what it does not know", Means: "it lets every network of ours through"}
	if b.Ours {
		f.Means = "rules of ours, marked as such, let our networks through it"
	}
	if len(b.Closed) == 0 {
		return f
	}
	f.Found += ", bridge " + strings.Join(b.Closed, ", ") + " too"
	f.Means = "containers on it do not reach the outside, nor are their ports reached from there"
	switch {
	case b.Ours:
		f.Status, f.Do = Problem, "run `compose up -d` of the project again: it puts its rules back; if they vanish again, have what clears the chain start before compose"
	case b.Table == "firewalld":
		f.Status, f.Means = Warning, "unless a zone lets it through, "+f.Means
		f.Do = "run `firewall-cmd --permanent --zone=trusted --add-interface=" + b.Closed[0] + "`, and `firewall-cmd --reload`"
	default:
		f.Status = Problem
		if b.Jumps {
			f.Status, f.Means = Warning, "unless a chain that it asks lets it through, "+f.Means
		}
		f.Do = fmt.Sprintf("run `nft insert rule %s %s %s iifname \"cb*\" accept`, the same with oifname, and put both where the firewall's own rules are kept", b.Family, b.Table, b.Chain)
	}
	return f
}

// subnets looks for routes that have come since the networks were made.
func subnets(_ context.Context, c Config) []Finding {
	networks, _ := netplan.OpenStore(c.Root).List()
	clashes, err := netplan.Clashes(networks)
	if err != nil {
		return []Finding{unknown("routes", err)}
	}
	var all []Finding
	for _, clash := range clashes {
		f := Finding{
			Status: Problem,
			Found:  fmt.Sprintf("network %s has %s, and %s leads to %s", clash.Network, clash.Subnet, clash.Interface, clash.Route),
			Means:  "packets for its containers go astray, or those for the other",
			Do:     "take its project down and up again: it gets another subnet; one that its file names has to be changed there",
		}
		if clash.Wider() {
			f.Status, f.Means = Warning, "this host does not reach those behind "+clash.Interface+" whose addresses the network has"
		}
		all = append(all, f)
	}
	routes, err := netplan.HostRoutes()
	if err == nil {
		_, err = netplan.ChoosePool(routes)
	}
	if err != nil {
		all = append(all, Finding{Status: Problem, Found: fmt.Sprintf("no subnet can be chosen (%v)", err), Means: "no further network can be made", Do: "remove networks that are not needed, or name subnets in the file (`ipam`)"})
	}
	if len(all) == 0 {
		all = append(all, Finding{Status: OK, Found: "no route of this host clashes with a network", Means: "every address leads to one place"})
	}
	return all
}
