package netplan

import (
	"context"
	"errors"
	"net/netip"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/project"
	"github.com/compose-spec/compose-go/v2/types"
)

var errTODO = errors.New("in progress")

// Host is the network of this machine, as far as one engine changes it.
type Host struct{ root layout.Root }

// NewHost returns the host network of an engine.
func NewHost(root layout.Root) (*Host, error) { return &Host{root: root}, nil }

// Ensure makes a network's bridge and rules, and mends what is missing of them.
func (h *Host) Ensure(ctx context.Context, n Network) error { return errTODO }

// Delete removes a network's bridge and rules.
func (h *Host) Delete(ctx context.Context, n Network) error { return errTODO }

// Attach makes the network namespace at netnsPath, and its interfaces.
func (h *Host) Attach(ctx context.Context, netnsPath string, wires []Wire, o AttachOptions) error {
	return errTODO
}

// Detach removes the network namespace at netnsPath with all in it.
func (h *Host) Detach(ctx context.Context, netnsPath string) error { return errTODO }

// Publish makes the published ports of the engine those of desired.
func (h *Host) Publish(ctx context.Context, desired []Published) error { return errTODO }

// CheckPorts returns an error that names each port which is taken, and by whom.
// Ports that one of the services in own ("project/service") publishes already are not taken.
func (h *Host) CheckPorts(ctx context.Context, ports []project.Port, own ...string) error {
	return errTODO
}

// FreePort returns a port from low to high (0, 0: any) that nothing on this host uses.
func (h *Host) FreePort(protocol string, ip netip.Addr, low, high uint16) (uint16, error) {
	return 0, errTODO
}

// Cleanup removes all that the engine has in nftables.
func (h *Host) Cleanup(ctx context.Context) error { return errTODO }

// HostRoutes returns the subnets that a new network must not overlap.
func HostRoutes() ([]netip.Prefix, error) { return nil, errTODO }

// Store keeps the records of networks.
type Store struct{ root layout.Root }

// OpenStore returns the store of an engine.
func OpenStore(root layout.Root) *Store { return &Store{root: root} }

// List returns all networks, sorted by name; a garbled record is named in the error, and the others are still listed.
func (s *Store) List() ([]Network, error) { return nil, errTODO }

// Get returns a network, or ErrNotFound.
func (s *Store) Get(name string) (Network, error) { return Network{}, errTODO }

// Save writes a record.
func (s *Store) Save(n Network) error { return errTODO }

// Create gives n free subnets where it has none, refuses those that overlap, and saves it, all under one lock.
// A network of that name that exists already is returned as it is.
func (s *Store) Create(ctx context.Context, n Network) (Network, error) { return n, errTODO }

// Delete removes a record; none is no error.
func (s *Store) Delete(name string) error { return errTODO }

// Define turns a network of the Compose file into a Network, checked.
func Define(projectName, key string, def types.NetworkConfig) (Network, error) {
	return Network{}, errTODO
}

// ChoosePool returns a subnet that overlaps none of taken.
func ChoosePool(taken []netip.Prefix) (Pool, error) { return Pool{}, errTODO }

// FreeAddress returns an IPv4 address for which taken is false, with its subnet's length.
func (n Network) FreeAddress(taken func(netip.Addr) bool) (netip.Prefix, error) {
	return netip.Prefix{}, errTODO
}

// FreeAddress6 is FreeAddress for IPv6.
func (n Network) FreeAddress6(taken func(netip.Addr) bool) (netip.Prefix, error) {
	return netip.Prefix{}, errTODO
}

// Ports holds the sockets that go with published ports; it lives in the agent.
type Ports struct{}

// NewPorts returns a Ports that holds nothing.
func NewPorts() *Ports { return &Ports{} }

// Sync opens and closes sockets until they are those of desired. Ports that cannot be had are named in the error; the others are served.
func (p *Ports) Sync(ctx context.Context, desired []Published) error { return errTODO }

// Close gives all sockets back.
func (p *Ports) Close() error { return nil }
