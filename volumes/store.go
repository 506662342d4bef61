package volumes

import (
	"context"
	"errors"

	"github.com/compose-first/compose/internal/layout"
)

// Store is the volumes of one engine root. It has no state of its own and may
// be used by several goroutines and processes at once.
type Store struct{ root layout.Root }

// OpenStore returns the store of root. Nothing is made until it is needed.
func OpenStore(root layout.Root) *Store { return &Store{root: root} }

// List returns all volumes, sorted by name. Volumes whose record cannot be
// read are named in the error; the others are returned all the same.
func (s *Store) List() ([]Volume, error) { return nil, errors.New("in progress") }

// Get returns one volume, or ErrNotFound.
func (s *Store) Get(name string) (Volume, error) { return Volume{}, errors.New("in progress") }

// Create makes a volume that is not there yet; one that is there is left as it
// is, with its own options, but a record that cannot be read is written anew:
// its data are kept. It returns the volume as it is recorded.
func (s *Store) Create(ctx context.Context, v Volume) (Volume, error) {
	return Volume{}, errors.New("in progress")
}

// Remove deletes a volume with all its data, or returns ErrNotFound. That no
// container uses it is for the caller to make sure.
func (s *Store) Remove(ctx context.Context, name string) error { return errors.New("in progress") }

// Path returns the folder with the data of the volume.
func (s *Store) Path(name string) string { return "" }
