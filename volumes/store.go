package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/project"
)

// Store is the volumes of one engine root. It has no state of its own and may
// be used by several goroutines and processes at once.
//
// Each volume is a folder with its record, its data in dataDir and, while it
// is filled for the first time, fillDir. A folder appears and goes by a
// rename, so that there is never half a volume; its lock is a flock of the
// folder itself, so that no lock outlives it.
type Store struct{ root layout.Root }

const (
	dataDir   = "_data"
	fillDir   = "_fill"
	tmpPrefix = ".tmp-" // of folders on their way in or out; no volume's name begins so
)

// OpenStore returns the store of root. Nothing is made until it is needed.
func OpenStore(root layout.Root) *Store { return &Store{root: root} }

// Path returns the folder with the data of the volume.
func (s *Store) Path(name string) string { return filepath.Join(s.dir(name), dataDir) }

func (s *Store) dir(name string) string { return filepath.Join(s.root.Volumes(), name) }

// List returns all volumes, sorted by name. Volumes whose record cannot be
// read are named in the error; the others are returned all the same.
func (s *Store) List() ([]Volume, error) {
	entries, err := os.ReadDir(s.root.Volumes())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	var (
		all    []Volume
		faults []error
	)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tmpPrefix) {
			s.sweep(e.Name())
			continue
		}
		if !e.IsDir() || CheckName(e.Name()) != nil {
			continue
		}
		v, err := s.Get(e.Name())
		switch {
		case errors.Is(err, ErrNotFound): // removed meanwhile
		case err != nil:
			faults = append(faults, err)
		default:
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b Volume) int { return strings.Compare(a.Name, b.Name) })
	return all, errors.Join(faults...)
}

// Get returns one volume, or ErrNotFound.
func (s *Store) Get(name string) (Volume, error) {
	r, err := s.read(name)
	return r.Volume, err
}

// Create makes a volume that is not there yet; one that is there is left as it
// is, with its own options, but a record that cannot be read is written anew:
// its data are kept. It returns the volume as it is recorded.
func (s *Store) Create(ctx context.Context, v Volume) (Volume, error) {
	for {
		r, err := s.read(v.Name)
		switch {
		case err == nil:
			return r.Volume, s.ensureData(ctx, v.Name)
		case errors.Is(err, ErrNotFound) && v.External:
			return Volume{}, err
		case errors.Is(err, ErrNotFound):
			err = s.create(v)
		case errors.Is(err, errGarbled) && !v.External:
			err = s.mend(ctx, v)
		}
		if err != nil {
			return Volume{}, err
		}
		if err := context.Cause(ctx); err != nil {
			return Volume{}, err
		}
	}
}

// create makes the folder of v, unless another process just did.
func (s *Store) create(v Volume) (retErr error) {
	defer wrap(&retErr, "create volume %s", v.Name)
	if err := os.MkdirAll(s.root.Volumes(), 0o700); err != nil {
		return err
	}
	tmp, hold, err := s.temporary()
	if err != nil {
		return err
	}
	defer hold.Close()
	defer func() {
		if retErr != nil {
			os.RemoveAll(tmp)
		}
	}()
	if err := os.Mkdir(filepath.Join(tmp, dataDir), 0o755); err != nil {
		return err
	}
	v.Created = time.Now().UTC()
	if err := writeRecord(tmp, record{Volume: v.complete()}); err != nil {
		return err
	}
	err = os.Rename(tmp, s.dir(v.Name))
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return os.RemoveAll(tmp)
	}
	if err != nil {
		return err
	}
	return syncDir(s.root.Volumes())
}

// complete adds the labels that follow from other fields.
func (v Volume) complete() Volume {
	if v.Driver == "" {
		v.Driver = DriverLocal
	}
	labels := map[string]string{}
	for k, l := range v.Labels {
		labels[k] = l
	}
	if v.Project != "" {
		labels[project.LabelProject] = v.Project
	}
	if v.ConfigHash != "" {
		labels[project.LabelConfigHash] = v.ConfigHash
	}
	if v.Anonymous {
		labels[project.LabelAnonymous] = "true"
	}
	v.Labels = labels
	return v
}

// ensureData makes the data folder again where somebody deleted it by hand.
func (s *Store) ensureData(ctx context.Context, name string) error {
	if _, err := os.Lstat(s.Path(name)); err == nil {
		return nil
	}
	return s.update(ctx, name, func(r *record) error {
		r.Fill = fillNone
		err := os.Mkdir(s.Path(name), 0o755)
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	})
}

// mend writes the record of v anew.
func (s *Store) mend(ctx context.Context, v Volume) (retErr error) {
	defer wrap(&retErr, "mend volume %s", v.Name)
	l, err := s.lock(ctx, v.Name)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := s.read(v.Name); !errors.Is(err, errGarbled) {
		return nil
	}
	slog.Warn("volume record could not be read and is written anew; data are kept", "volume", v.Name)
	v.Created = time.Now().UTC()
	return writeRecord(s.dir(v.Name), record{Volume: v.complete()})
}

// Remove deletes a volume with all its data, or returns ErrNotFound. That no
// container uses it is for the caller to make sure.
func (s *Store) Remove(ctx context.Context, name string) (retErr error) {
	defer wrap(&retErr, "remove volume %s", name)
	if err := CheckName(name); err != nil {
		return err
	}
	l, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := unmountBelow(s.dir(name)); err != nil {
		return err
	}
	tmp := filepath.Join(s.root.Volumes(), tmpPrefix+randomHex(8))
	if err := os.Rename(s.dir(name), tmp); err != nil {
		return err
	}
	if err := syncDir(s.root.Volumes()); err != nil {
		return err
	}
	return os.RemoveAll(tmp)
}

// Unmount takes away what the store has mounted: devices of volumes, folders
// inside volumes, the tmpfs of secrets and configs. No container may be
// running. What is needed again is mounted again by Restore and RestoreFiles.
func (s *Store) Unmount() error {
	return errors.Join(
		unmountBelow(s.root.Subpaths("")),
		unmountBelow(s.root.Volumes()),
		unmountBelow(s.root.RunFiles()),
	)
}

// temporary makes a folder that no sweep touches until hold is closed.
func (s *Store) temporary() (dir string, hold *os.File, err error) {
	for {
		dir = filepath.Join(s.root.Volumes(), tmpPrefix+randomHex(8))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", nil, err
		}
		hold, err := tryLock(dir)
		if err == nil {
			return dir, hold, nil
		}
		if !errors.Is(err, ErrNotFound) && !errors.Is(err, errLocked) { // else a sweep was quicker
			return "", nil, err
		}
	}
}

// sweep deletes a temporary folder whose process has died.
func (s *Store) sweep(name string) {
	dir := filepath.Join(s.root.Volumes(), name)
	hold, err := tryLock(dir)
	if err != nil {
		return
	}
	defer hold.Close()
	if err := unmountBelow(dir); err != nil {
		slog.Warn("left-over volume folder stays", "folder", dir, "error", err)
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		slog.Warn("left-over volume folder stays", "folder", dir, "error", err)
	}
}
