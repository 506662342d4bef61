package netplan

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// baseVersion is that of the rules in base: it is raised with every change of
// them, so that a table of an older version is made anew.
const baseVersion = 2

// table is the one nftables table of an engine. Its chains are the same for
// all engines; what differs are the elements of its sets: one row a network.
type table struct {
	*nftables.Table

	bridges  *nftables.Set // every bridge of ours
	internal *nftables.Set // those of internal networks
	open     *nftables.Set // those whose containers may be reached directly
	pairs    *nftables.Set // name twice: those within which containers may talk

	own      [2]*nftables.Set // bridge and its own address; IPv4, then IPv6
	gateways [2]*nftables.Set // every bridge's own address
	subnets  [2]*nftables.Set // every subnet
	hidden   [2]*nftables.Set // those that go out under the host's address

	publishedAt  *nftables.Set // protocol, address and port → chain of the service
	publishedAny *nftables.Set // protocol and port → chain of the service

	// lastID tells the sets of one transaction apart. It is counted here since
	// the library's own counter is a variable that all connections share.
	lastID uint32
}

func newTable(name string) *table {
	t := &table{Table: &nftables.Table{Name: name, Family: nftables.TableFamilyINet}}
	set := func(name string, interval bool, types ...nftables.SetDatatype) *nftables.Set {
		t.lastID++
		s := &nftables.Set{Table: t.Table, ID: t.lastID, Name: name, Interval: interval, KeyType: types[0]}
		if len(types) > 1 {
			s.Concatenation = true
			s.KeyType = nftables.MustConcatSetType(types...)
		}
		return s
	}
	t.bridges = set("bridges", false, nftables.TypeIFName)
	t.internal = set("internal", false, nftables.TypeIFName)
	t.open = set("open", false, nftables.TypeIFName)
	t.pairs = set("pairs", false, nftables.TypeIFName, nftables.TypeIFName)
	for i, f := range []struct {
		suffix  string
		address nftables.SetDatatype
	}{{"4", nftables.TypeIPAddr}, {"6", nftables.TypeIP6Addr}} {
		t.own[i] = set("own"+f.suffix, false, nftables.TypeIFName, f.address)
		t.gateways[i] = set("gateways"+f.suffix, false, f.address)
		t.subnets[i] = set("subnets"+f.suffix, true, f.address)
		t.hidden[i] = set("hidden"+f.suffix, true, f.address)
	}
	t.publishedAt = set("published-at", false, nftables.TypeInetProto, nftables.TypeIPAddr, nftables.TypeInetService)
	t.publishedAny = set("published-any", false, nftables.TypeInetProto, nftables.TypeInetService)
	for _, m := range []*nftables.Set{t.publishedAt, t.publishedAny} {
		m.IsMap, m.DataType = true, nftables.TypeVerdict
	}
	return t
}

func (t *table) sets() []*nftables.Set {
	all := []*nftables.Set{t.bridges, t.internal, t.open, t.pairs, t.publishedAt, t.publishedAny}
	for i := range t.own {
		all = append(all, t.own[i], t.gateways[i], t.subnets[i], t.hidden[i])
	}
	return all
}

// baseChain is a chain and its rules. The kernel calls it at its hook; with
// none, a rule of another one does.
type baseChain struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority nftables.ChainPriority
	rules    [][]expr.Any
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// strays is the chain for packets of containers that came in by a bridge which
// does not lead to their sender.
const strays = "strays"

// base lists the chains. Every one accepts what its rules leave alone, so that
// other people's traffic is other people's affair.
func (t *table) base() []baseChain {
	return []baseChain{
		// A bridge of ours lets 127.0.0.0/8 through the routing, so that a port
		// published on 127.0.0.1 can be led to a container. Nobody outside may
		// use that, neither as a target nor as a sender.
		{"raw", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, -300, [][]expr.Any{
			rule(notNamed(in, "lo"), masked(ipTarget(false, 1), loopback), drop()),
			rule(notNamed(in, "lo"), masked(ipSource(false, 1), loopback), drop()),
		}},
		{name: strays, rules: [][]expr.Any{
			rule([]expr.Any{ipSource(false, 1), equal(make([]byte, 4))}, accept()), // DHCP
			// One of several networks answers a client from outside by the
			// network that has the default route.
			rule(answer(), published(), accept()),
			drop(),
		}},
		// Containers speak under their own addresses, and nobody else does: not
		// even in a connection that is known, or answers could be forged.
		{"spoofed", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, -150, [][]expr.Any{
			rule(among(in, t.bridges), family(false), strayed(), jump(strays)),
			rule(notAmong(in, t.bridges), notNamed(in, "lo"), sourceAmong(t.subnets[0], false), drop()),
			rule(notAmong(in, t.bridges), notNamed(in, "lo"), sourceAmong(t.subnets[1], true), drop()),
		}},
		{"prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, -100, t.lead()},
		{"output", nftables.ChainTypeNAT, nftables.ChainHookOutput, -100, t.lead()},
		{"input", nftables.ChainTypeFilter, nftables.ChainHookInput, 0, [][]expr.Any{
			rule(known(), accept()),
			rule(named(in, "lo"), accept()),
			rule(among(in, t.internal), protocol(unix.IPPROTO_ICMPV6), accept()), // neighbour discovery
			rule(among(in, t.internal), local(false), refuse()),
			rule(among(in, t.internal), drop()), // broadcasts, which services of the host listen to
			rule(t.ownGateway(false), accept()),
			rule(t.ownGateway(true), accept()),
			rule(targetAmong(t.gateways[0], false), refuse()),
			rule(targetAmong(t.gateways[1], true), refuse()),
		}},
		{"forward", nftables.ChainTypeFilter, nftables.ChainHookForward, 0, [][]expr.Any{
			rule(notAmong(in, t.bridges), notAmong(out, t.bridges), accept()),
			rule(staysIn(t.pairs), accept()),
			rule(known(), accept()),
			rule(among(in, t.internal), refuse()),
			rule(among(out, t.internal), among(in, t.bridges), refuse()),
			rule(among(out, t.internal), drop()),
			rule(among(out, t.bridges), published(), accept()),
			rule(among(out, t.open), notAmong(in, t.bridges), accept()),
			rule(among(out, t.bridges), among(in, t.bridges), refuse()),
			rule(among(out, t.bridges), drop()),
		}},
		{"postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, 100, [][]expr.Any{
			// Container to container through a published port, and the host
			// itself: the answer must come back this way. Only clients from
			// outside keep their address.
			rule(among(out, t.bridges), published(), sourceAmong(t.subnets[0], false), masquerade()),
			rule(among(out, t.bridges), published(), local(true), masquerade()),
			rule(notAmong(out, t.bridges), notNamed(out, "lo"), sourceAmong(t.hidden[0], false), masquerade()),
			rule(notAmong(out, t.bridges), notNamed(out, "lo"), sourceAmong(t.hidden[1], true), masquerade()),
		}},
	}
}

// lead sends connections to this host's addresses to the service that the port
// is published by.
func (t *table) lead() [][]expr.Any {
	port := func(register uint32) expr.Any {
		return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
	}
	toService := func(s *nftables.Set) expr.Any {
		return &expr.Lookup{SourceRegister: 1, DestRegister: 0, IsDestRegSet: true, SetName: s.Name, SetID: s.ID}
	}
	// Fields of a joined key lie 4 bytes apart; registers 8, 9 and 10 are the
	// first three words of register 1.
	return [][]expr.Any{
		rule(family(false), local(false), []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 8}, ipTarget(false, 9), port(10), toService(t.publishedAt),
		}),
		rule(family(false), local(false), []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 8}, port(9), toService(t.publishedAny),
		}),
	}
}

// ownGateway matches packets to the address of the very bridge they came in by.
func (t *table) ownGateway(six bool) []expr.Any {
	s := t.own[index(six)]
	return append(family(six),
		&expr.Meta{Key: in, Register: 1}, ipTarget(six, 2),
		&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID})
}

func index(six bool) int {
	if six {
		return 1
	}
	return 0
}

// ensureRules makes the table, if it is not there whole, and the network's rows in it.
func (h *Host) ensureRules(n Network) error {
	return h.tables(func(c *nftables.Conn) error { return h.ensureIn(c, n) })
}

func (h *Host) ensureIn(c *nftables.Conn, n Network) error {
	t := newTable(h.tag)
	whole := t.whole(c)
	if !whole {
		if err := t.install(c); err != nil {
			return err
		}
	}
	if !whole || !t.has(c, n) {
		if err := t.addRows(c, n); err != nil {
			return err
		}
		if err := c.Flush(); err != nil {
			return fmt.Errorf("set nftables rules: %w", err)
		}
	}
	return h.passForeign(c, n)
}

// deleteRules removes the network's rows.
func (h *Host) deleteRules(n Network) error {
	return h.tables(func(c *nftables.Conn) error { return h.deleteIn(c, n) })
}

func (h *Host) deleteIn(c *nftables.Conn, n Network) error {
	t := newTable(h.tag)
	if err := t.deleteRows(c, t.rows(n)); errors.Is(err, unix.ENOENT) {
		// One by one: a row that is not there must not keep the others.
		for _, r := range t.rows(n) {
			if err := t.deleteRows(c, []row{r}); err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
	} else if err != nil {
		return err
	}
	return h.unpassForeign(c, n.Bridge)
}

func (t *table) deleteRows(c *nftables.Conn, rows []row) error {
	for _, r := range rows {
		if err := c.SetDeleteElements(r.set, r.elements); err != nil {
			return fmt.Errorf("delete nftables rules: %w", err)
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("delete nftables rules: %w", err)
	}
	return nil
}

// tables runs do with the connection to nftables, one at a time. The connection
// stays open: closing one waits until the kernel has freed what was deleted
// before, a dozen milliseconds, and lets no other change begin meanwhile. After
// an error, which may have left answers unread, there is a new one.
func (h *Host) tables(do func(c *nftables.Conn) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil {
		c, err := nftables.New(nftables.AsLasting())
		if err != nil {
			return fmt.Errorf("open nftables: %w", err)
		}
		h.conn = c
	}
	err := do(h.conn)
	if err != nil {
		c := h.conn
		h.conn = nil
		go func() { _ = c.CloseLasting() }()
	}
	return err
}

// Cleanup removes all that the engine has in nftables, and its bridges: for
// when it stops and nothing of it runs. Bridges that stayed would be found by
// the next start, and taken for a sign that the rules are there, too.
func (h *Host) Cleanup(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := h.deleteBridges(); err != nil {
		return err
	}
	return h.tables(func(c *nftables.Conn) error {
		c.DelTable(newTable(h.tag).Table)
		if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("delete nftables table: %w", err)
		}
		return h.unpassForeign(c, "")
	})
}

// whole reports whether the table is there, of this version, with its rules.
// The forward chain stands for all: what is put in, and lost, is so together.
func (t *table) whole(c *nftables.Conn) bool {
	rules, err := c.GetRules(t.Table, &nftables.Chain{Name: "forward"})
	if err != nil || len(rules) == 0 {
		return false
	}
	mark, _ := userdata.GetString(rules[0].UserData, userdata.TypeComment)
	return mark == t.mark()
}

func (t *table) mark() string { return fmt.Sprintf("base %d", baseVersion) }

// install puts the base chains in, in place of whatever they are now. The sets
// keep their elements. It only queues: Flush makes it happen.
func (t *table) install(c *nftables.Conn) error {
	c.AddTable(t.Table)
	for _, s := range t.sets() {
		if err := c.AddSet(s, nil); err != nil {
			return fmt.Errorf("add nftables set %s: %w", s.Name, err)
		}
	}
	policy := nftables.ChainPolicyAccept
	for _, b := range t.base() {
		chain := &nftables.Chain{Name: b.name, Table: t.Table}
		if b.hook != nil {
			chain.Type, chain.Hooknum, chain.Priority, chain.Policy = b.kind, b.hook, &b.priority, &policy
		}
		c.AddChain(chain)
		c.FlushChain(chain)
		for i, exprs := range b.rules {
			r := &nftables.Rule{Table: t.Table, Chain: chain, Exprs: exprs}
			if i == 0 {
				r.UserData = userdata.AppendString(nil, userdata.TypeComment, t.mark())
			}
			c.AddRule(r)
		}
	}
	return nil
}

// row is what a network has in one set.
type row struct {
	set      *nftables.Set
	elements []nftables.SetElement
}

func (t *table) rows(n Network) []row {
	key := func(k ...[]byte) []nftables.SetElement {
		var joined []byte
		for _, part := range k {
			joined = append(joined, part...)
		}
		return []nftables.SetElement{{Key: joined}}
	}
	name := ifname(n.Bridge)
	rows := []row{{t.bridges, key(name)}}
	if n.Internal {
		rows = append(rows, row{t.internal, key(name)})
	}
	if n.option(optionICC, true) {
		rows = append(rows, row{t.pairs, key(name, name)})
	}
	if mode := n.Options[optionGateway4]; mode == "routed" || mode == "nat-unprotected" {
		rows = append(rows, row{t.open, key(name)})
	}
	for _, p := range n.Pools {
		i := index(p.Subnet.Addr().Is6())
		rows = append(rows,
			row{t.own[i], key(name, p.Gateway.AsSlice())},
			row{t.gateways[i], key(p.Gateway.AsSlice())},
			row{t.subnets[i], interval(p.Subnet)})
		if !n.Internal && n.option(optionMasquerade, true) && n.Options[optionGateway4] != "routed" {
			rows = append(rows, row{t.hidden[i], interval(p.Subnet)})
		}
	}
	return rows
}

func (t *table) addRows(c *nftables.Conn, n Network) error {
	for _, r := range t.rows(n) {
		if err := c.SetAddElements(r.set, r.elements); err != nil {
			return fmt.Errorf("add to nftables set %s: %w", r.set.Name, err)
		}
	}
	return nil
}

// has reports whether the network's rows are there. Rows are put in together,
// so that the bridge's stands for all of them.
func (t *table) has(c *nftables.Conn, n Network) bool {
	elements, err := c.GetSetElements(t.bridges)
	if err != nil {
		return false
	}
	for _, e := range elements {
		if string(e.Key) == string(ifname(n.Bridge)) {
			return true
		}
	}
	return false
}

// interval is a subnet as an interval set holds it: its first address, and the
// first one behind it.
func interval(p netip.Prefix) []nftables.SetElement {
	elements := []nftables.SetElement{{Key: p.Masked().Addr().AsSlice()}}
	if end := last(p).Next(); end.IsValid() {
		elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
	}
	return elements
}
