package netplan

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-first/compose/project"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// portKey is what a connection is recognised by. Address is the zero Addr for
// every address of this host.
type portKey struct {
	Protocol string
	Address  netip.Addr
	Port     uint16
}

func (k portKey) String() string {
	if k.Address.IsValid() {
		return fmt.Sprintf("%s:%d/%s", k.Address, k.Port, k.Protocol)
	}
	return fmt.Sprintf("%d/%s", k.Port, k.Protocol)
}

// service is where connections to one port go: a chain of its own.
type service struct {
	Name     string // "project/service"
	Backends []netip.AddrPort
}

// led is what the kernel holds for one port now.
type led struct {
	chain string
	state string // what the chain does, see service.state
}

// protocols maps the names of a Compose file to the numbers of a packet.
var protocols = map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "sctp": unix.IPPROTO_SCTP}

// Publish makes the published ports of the engine those of desired, which is
// all of them. What is so already is left alone; each service that differs is
// changed in one transaction, so that a connection finds the old replicas or
// the new. A port without backends refuses connections at once. An error of
// one service does not keep the others from being published.
func (h *Host) Publish(ctx context.Context, desired []Published) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	closed, err := h.internalSubnets()
	if err != nil {
		return err
	}
	want, clash := plan(desired, closed)
	var stale []portKey
	err = h.tables(func(c *nftables.Conn) error {
		stale, err = h.publishIn(c, want)
		return err
	})
	return errors.Join(clash, err, forget(stale, want))
}

// publishIn makes the ports those of want, and returns the UDP ports among
// those it has changed.
func (h *Host) publishIn(c *nftables.Conn, want map[portKey]service) (stale []portKey, _ error) {
	t := newTable(h.tag)
	have, err := t.leads(c)
	if err != nil && len(want) == 0 {
		return nil, nil // no table: nothing is published, as it should be
	}
	if err != nil {
		if err := t.install(c); err != nil {
			return nil, err
		}
		if err := c.Flush(); err != nil {
			return nil, fmt.Errorf("set nftables rules: %w", err)
		}
	}
	var errs []error
	for _, change := range diff(have, want) {
		for _, k := range change.keys {
			if err := t.replace(c, k, have, want); err != nil {
				return stale, err
			}
			if k.Protocol == "udp" {
				stale = append(stale, k)
			}
		}
		if err := c.Flush(); err != nil {
			errs = append(errs, fmt.Errorf("publish ports of %s: %w", change.service, err))
		}
	}
	return stale, errors.Join(errs...)
}

// change is the ports of one service that differ.
type change struct {
	service string
	keys    []portKey
}

// plan gathers what each port leads to. Backends on an internal network are
// left out. A port that two services want goes to the first, and is an error.
func plan(desired []Published, closed []netip.Prefix) (map[portKey]service, error) {
	want := map[portKey]service{}
	var errs []error
	for _, d := range desired {
		k, ok := keyOf(d.Port)
		if !ok {
			continue
		}
		s, taken := want[k]
		if taken && s.Name != d.Service {
			errs = append(errs, fmt.Errorf("port %s of %s is already in use by %s", k, d.Service, s.Name))
			continue
		}
		s.Name = d.Service
		for _, b := range d.Backends {
			if b.Addr().Is4() && !slices.ContainsFunc(closed, func(p netip.Prefix) bool { return p.Contains(b.Addr()) }) {
				s.Backends = append(s.Backends, b)
			}
		}
		slices.SortFunc(s.Backends, netip.AddrPort.Compare)
		s.Backends = slices.Compact(s.Backends)
		want[k] = s
	}
	return want, errors.Join(errs...)
}

// keyOf returns the key of a port in the table; none when the kernel has no
// part in it, because it is of IPv6 alone (see Ports) or not chosen yet.
func keyOf(p project.Port) (portKey, bool) {
	k := portKey{Protocol: cmp.Or(p.Protocol, "tcp"), Port: p.Published}
	if protocols[k.Protocol] == 0 || k.Port == 0 || p.HostIP.Is6() && !p.HostIP.Is4In6() {
		return portKey{}, false
	}
	if a := p.HostIP.Unmap(); a.IsValid() && !a.IsUnspecified() {
		k.Address = a
	}
	return k, true
}

// diff lists the ports that differ, by service and in a fixed order.
func diff(have map[portKey]led, want map[portKey]service) []change {
	byService := map[string][]portKey{}
	for k, s := range want {
		if have[k] != (led{chain: chainName(k, s), state: s.state()}) {
			byService[s.Name] = append(byService[s.Name], k)
		}
	}
	for k, l := range have {
		if _, ok := want[k]; !ok {
			byService[ownerOf(l.chain)] = append(byService[ownerOf(l.chain)], k)
		}
	}
	var changes []change
	for _, name := range slices.Sorted(maps.Keys(byService)) {
		keys := byService[name]
		slices.SortFunc(keys, func(a, b portKey) int { return strings.Compare(a.String(), b.String()) })
		changes = append(changes, change{name, keys})
	}
	return changes
}

// state is what makes two services lead alike: it fits in a comment of the
// kernel, which is where it is found again.
func (s service) state() string {
	sum := sha256.Sum256(fmt.Append(nil, s.Backends))
	return hex.EncodeToString(sum[:8])
}

// chainLength bounds a chain's name, well within the kernel's 255 bytes.
const chainLength = 180

// chainName is unique for a port of a service, and says both.
func chainName(k portKey, s service) string {
	return "svc-" + identifier(s.Name) + "-" + strings.NewReplacer("/", "-", ":", "-").Replace(k.String())
}

// identifier keeps a service's name to what nft can read back.
func identifier(name string) string {
	clean := notIdentifier.ReplaceAllString(name, "_")
	if clean == name && len(name) <= chainLength-40 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return clean[:min(len(clean), chainLength-80)] + "." + hex.EncodeToString(sum[:6])
}

var notIdentifier = regexp.MustCompile(`[^a-zA-Z0-9/_.-]`)

var chainParts = regexp.MustCompile(`^svc-(.*?)(-\d+\.\d+\.\d+\.\d+)?-\d+-[a-z]+$`)

// ownerOf returns the service of a chain: its name undoes chainName as far as
// identifier has changed nothing.
func ownerOf(chain string) string {
	if m := chainParts.FindStringSubmatch(chain); m != nil {
		return m[1]
	}
	return chain
}

// leads reads what the kernel has. The error means that there is no such table.
func (t *table) leads(c *nftables.Conn) (map[portKey]led, error) {
	have := map[portKey]led{}
	for _, m := range []*nftables.Set{t.publishedAt, t.publishedAny} {
		elements, err := c.GetSetElements(m)
		if err != nil {
			return nil, fmt.Errorf("list published ports: %w", err)
		}
		for _, e := range elements {
			k, ok := readKey(e.Key)
			if !ok {
				continue
			}
			chain, state, _ := strings.Cut(e.Comment, " ")
			have[k] = led{chain: chain, state: state}
		}
	}
	return have, nil
}

// element is a port's row: the set it is in, and its key there.
func (t *table) element(k portKey) (*nftables.Set, nftables.SetElement) {
	key := []byte{protocols[k.Protocol], 0, 0, 0}
	s := t.publishedAny
	if k.Address.IsValid() {
		s = t.publishedAt
		key = append(key, k.Address.AsSlice()...)
	}
	key = binary.BigEndian.AppendUint16(key, k.Port)
	return s, nftables.SetElement{Key: append(key, 0, 0)}
}

func readKey(b []byte) (portKey, bool) {
	if len(b) != 8 && len(b) != 12 {
		return portKey{}, false
	}
	k := portKey{Port: binary.BigEndian.Uint16(b[len(b)-4:])}
	for name, number := range protocols {
		if number == b[0] {
			k.Protocol = name
		}
	}
	if len(b) == 12 {
		k.Address, _ = netip.AddrFromSlice(b[4:8])
	}
	return k, k.Protocol != ""
}

// replace queues what makes one port lead where it should: the row and the
// chain of before go, those wanted come.
func (t *table) replace(c *nftables.Conn, k portKey, have map[portKey]led, want map[portKey]service) error {
	s, keep := want[k]
	name := ""
	if keep {
		name = chainName(k, s)
	}
	set, e := t.element(k)
	old, had := have[k]
	if had {
		if err := c.SetDeleteElements(set, []nftables.SetElement{e}); err != nil {
			return fmt.Errorf("unpublish %s: %w", k, err)
		}
		if old.chain != "" && old.chain != name {
			gone := &nftables.Chain{Name: old.chain, Table: t.Table}
			c.FlushChain(gone)
			c.DelChain(gone)
		}
	}
	if !keep {
		return nil
	}
	chain := c.AddChain(&nftables.Chain{Name: name, Table: t.Table})
	c.FlushChain(chain)
	if err := t.balance(c, chain, k, s); err != nil {
		return fmt.Errorf("publish %s: %w", k, err)
	}
	e.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: name}
	e.Comment = name + " " + s.state()
	if err := c.SetAddElements(set, []nftables.SetElement{e}); err != nil {
		return fmt.Errorf("publish %s: %w", k, err)
	}
	return nil
}

// balance queues the rules of a service's chain: each new connection goes to
// the next backend in turn; with none, it is refused.
func (t *table) balance(c *nftables.Conn, chain *nftables.Chain, k portKey, s service) error {
	add := func(exprs ...expr.Any) { c.AddRule(&nftables.Rule{Table: t.Table, Chain: chain, Exprs: exprs}) }
	if len(s.Backends) == 0 {
		if k.Protocol == "tcp" {
			add(rule(protocol(unix.IPPROTO_TCP), []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}})...)
		}
		add(&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH})
		return nil
	}
	t.lastID++
	replicas := &nftables.Set{
		Table: t.Table, ID: t.lastID, Name: "__map%d", Anonymous: true, Constant: true, IsMap: true,
		KeyType:  nftables.TypeInteger,
		DataType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
	}
	var elements []nftables.SetElement
	for i, b := range s.Backends {
		place := binary.NativeEndian.AppendUint32(nil, uint32(i))
		target := append(b.Addr().AsSlice(), byte(b.Port()>>8), byte(b.Port()), 0, 0)
		elements = append(elements, nftables.SetElement{Key: place, Val: target})
	}
	if err := c.AddSet(replicas, elements); err != nil {
		return err
	}
	add(rule(family(false), protocol(protocols[k.Protocol]), []expr.Any{
		&expr.Numgen{Register: 1, Modulus: uint32(len(s.Backends)), Type: unix.NFT_NG_INCREMENTAL},
		&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: replicas.Name, SetID: replicas.ID},
		// The address is the first word of register 1, the port the second.
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 9, Specified: true},
	})...)
	return nil
}

// internalSubnets lists the subnets on which nothing is published.
func (h *Host) internalSubnets() ([]netip.Prefix, error) {
	networks, err := h.store.List()
	if networks == nil && err != nil {
		return nil, err
	}
	var subnets []netip.Prefix
	for _, n := range networks {
		if !n.Internal {
			continue
		}
		for _, p := range n.Pools {
			subnets = append(subnets, p.Subnet)
		}
	}
	return subnets, nil
}
