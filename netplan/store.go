package netplan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
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
	n, err := readNetwork(s.path(name), name)
	if !errors.Is(err, errGarbled) {
		return n, err
	}
	n, copyErr := readNetwork(s.copyPath(name), name)
	if copyErr != nil {
		return Network{}, fmt.Errorf("%w; stop what is on network %s, delete the file, and bring it up again", err, name)
	}
	slog.Warn("a network's record is taken from its copy", "network", name, "error", err)
	return n, s.restore(n)
}

// restore writes a record that was garbled anew, unless somebody is about to
// write records anyway.
func (s *Store) restore(n Network) error {
	held, err := lock.Try(s.root.Lock("networks"), "mend network "+n.Name)
	if err != nil {
		return nil
	}
	defer held.Release()
	return s.write(n)
}

// errGarbled means that a record is there but cannot be understood.
var errGarbled = errors.New("network record is garbled")

// readNetwork reads a file that describes the network of that name.
func readNetwork(path, name string) (Network, error) {
	b, err := os.ReadFile(path)
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
		return Network{}, fmt.Errorf("%w: %s: %w", errGarbled, path, err)
	}
	return n, nil
}

// Create gives n a free subnet for each address family that has none, saves
// it, and returns it. Subnets that n comes with must overlap neither another
// network nor a route of this host; those that it chooses overlap none of avoid
// either. All of it happens under one lock, so that
// two commands of the engine never choose the same subnet; Host.Create sees to
// other engines. A network of that name which has a record already is returned
// as it is.
func (s *Store) Create(ctx context.Context, n Network, avoid ...netip.Prefix) (Network, error) {
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
	if n, err = allot(n, others, routes, avoid...); err != nil {
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
	for _, path := range []string{s.copyPath(name), s.path(name)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete network %s: %w", name, err)
		}
	}
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.root.Networks(), name+".json") }

// copyPath is a second path, for when somebody garbles the first.
func (s *Store) copyPath(name string) string { return s.path(name) + ".copy" }

// write replaces a record and its copy, each whole: a crash leaves the old one
// or the new one.
func (s *Store) write(n Network) error {
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
	for _, path := range []string{s.path(n.Name), s.copyPath(n.Name)} {
		if err := replaceFile(path, append(b, '\n')); err != nil {
			return fmt.Errorf("save network %s: %w", n.Name, err)
		}
	}
	return syncDir(s.root.Networks())
}

// unsaved is how files are named that are not yet a record.
const unsaved = ".new-"

// Sweep removes what killed commands have left of records that they were
// writing.
func (s *Store) Sweep() error {
	if left, err := s.unsavedFiles(); err != nil || len(left) == 0 {
		return err
	}
	held, err := lock.Try(s.root.Lock("networks"), "sweep networks")
	if err != nil {
		return nil // whoever writes now sweeps next time
	}
	defer held.Release()
	left, err := s.unsavedFiles() // under the lock nobody writes one
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("sweep networks: %w", err)
	}
	return nil
}

func (s *Store) unsavedFiles() ([]string, error) {
	entries, err := os.ReadDir(s.root.Networks())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	var all []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unsaved) {
			all = append(all, filepath.Join(s.root.Networks(), e.Name()))
		}
	}
	return all, nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, content []byte) (retErr error) {
	f, err := os.CreateTemp(filepath.Dir(path), unsaved+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if retErr != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
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
