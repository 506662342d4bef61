package netplan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
)

// Store keeps the records of networks: one JSON file each, under the state
// root, always whole.
type Store struct{ root layout.Root }

// OpenStore returns the store of an engine.
func OpenStore(root layout.Root) *Store { return &Store{root: root} }

// List returns all networks, sorted by name. A record that cannot be read is
// named in the error, and the others are returned all the same.
func (s *Store) List() ([]Network, error) {
	entries, err := os.ReadDir(s.root.Networks())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	var networks []Network
	var errs []error
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue // a temporary file that a crash has left
		}
		n, err := s.Get(name)
		if errors.Is(err, ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		networks = append(networks, n)
	}
	slices.SortFunc(networks, func(a, b Network) int { return strings.Compare(a.Name, b.Name) })
	return networks, errors.Join(errs...)
}

// Get returns the network of that name. The error is ErrNotFound when there is
// no record of it, and names the file when the record cannot be read.
func (s *Store) Get(name string) (Network, error) {
	if err := checkName(name); err != nil {
		return Network{}, err
	}
	b, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Network{}, fmt.Errorf("network %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return Network{}, fmt.Errorf("read network %s: %w", name, err)
	}
	n, err := decode(b)
	if err == nil && n.Name != name {
		err = fmt.Errorf("it is of network %q", n.Name)
	}
	if err != nil {
		return Network{}, fmt.Errorf("network record %s is garbled: %w", s.path(name), err)
	}
	return n, nil
}

// Create gives n a free subnet for each address family that has none, saves
// it, and returns it. Subnets that n comes with must overlap neither another
// network nor a route of this host. All of it happens under one lock, so that
// two commands of the engine never choose the same subnet; Host.Create sees to
// other engines. A network of that name which has a record already is returned
// as it is.
func (s *Store) Create(ctx context.Context, n Network) (Network, error) {
	held, err := lock.Take(ctx, s.root.Lock("networks"), "create network "+n.Name, nil)
	if err != nil {
		return Network{}, err
	}
	defer held.Release()
	if old, err := s.Get(n.Name); !errors.Is(err, ErrNotFound) {
		return old, err
	}
	others, err := s.List()
	if err != nil {
		return Network{}, err
	}
	var routes []netip.Prefix
	if n.Driver == DriverBridge {
		if routes, err = HostRoutes(); err != nil {
			return Network{}, err
		}
	}
	if n, err = allot(n, others, routes); err != nil {
		return Network{}, err
	}
	return n, s.write(n)
}

// Check returns the error that Create would have for a network, also when it
// is to take the place of one of its name.
func (s *Store) Check(n Network) error {
	if n.Driver != DriverBridge {
		return nil
	}
	all, err := s.List()
	if err != nil {
		return err
	}
	routes, err := HostRoutes()
	if err != nil {
		return err
	}
	var others []Network
	for _, o := range all {
		if o.Name != n.Name {
			others = append(others, o)
			continue
		}
		for _, p := range o.Pools { // its own routes go with it
			routes = slices.DeleteFunc(routes, func(r netip.Prefix) bool { return p.Subnet.Overlaps(r) && r.Bits() >= p.Subnet.Bits() })
		}
	}
	_, err = allot(n, others, routes)
	return err
}

// Save writes the record of a network, new or changed.
func (s *Store) Save(n Network) error {
	held, err := lock.Take(context.Background(), s.root.Lock("networks"), "save network "+n.Name, nil)
	if err != nil {
		return err
	}
	defer held.Release()
	return s.write(n)
}

// Delete removes the record of a network; that there is none is no error.
func (s *Store) Delete(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete network %s: %w", name, err)
	}
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.root.Networks(), name+".json") }

// write replaces a record whole: a crash leaves the old one or the new one.
func (s *Store) write(n Network) (retErr error) {
	if err := checkName(n.Name); err != nil {
		return err
	}
	b, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return fmt.Errorf("encode network %s: %w", n.Name, err)
	}
	if err := os.MkdirAll(s.root.Networks(), 0o700); err != nil {
		return fmt.Errorf("save network %s: %w", n.Name, err)
	}
	f, err := os.CreateTemp(s.root.Networks(), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("save network %s: %w", n.Name, err)
	}
	defer func() {
		if retErr != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("save network %s: %w", n.Name, err)
	}
	if err := os.Rename(f.Name(), s.path(n.Name)); err != nil {
		return fmt.Errorf("save network %s: %w", n.Name, err)
	}
	return syncDir(s.root.Networks())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// decode reads a record and refuses one that would lead the host astray.
func decode(b []byte) (Network, error) {
	var n Network
	if err := json.Unmarshal(b, &n); err != nil {
		return Network{}, err
	}
	if err := checkName(n.Name); err != nil {
		return Network{}, err
	}
	switch n.Driver {
	case DriverHost, DriverNone:
		return n, nil
	case DriverBridge:
	default:
		return Network{}, fmt.Errorf("driver %q is unknown", n.Driver)
	}
	if err := checkInterface(n.Bridge); err != nil {
		return Network{}, err
	}
	for _, p := range n.Pools {
		if err := p.check(); err != nil {
			return Network{}, err
		}
	}
	return n, nil
}
