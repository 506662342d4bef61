package logfile

import (
	"context"
	"errors"
	"time"
)

// Options says which entries Read gives.
type Options struct {
	Since time.Time // zero: from the first
	Until time.Time // zero: without end
	// Tail is how many of the last lines to begin with; negative is all.
	// Partial entries count together with the one that ends their line.
	Tail   int
	Follow bool // go on with what is written from now on

	// Done, when following, tells that nothing more will be written: Read ends
	// once it reports true and all is read. It is asked about ten times a second.
	// A container's output is complete when its task is gone and Drained(its
	// streams folder). Nil: only ctx ends.
	Done func() bool

	// Lines joins the partial entries of a line into one entry, as long as
	// they are no more than 1 MiB together. When following, an unfinished line
	// is given as a partial entry once nothing came for it for 100 ms.
	Lines bool
}

// DrainedFile is made in a container's streams folder by the logger once all
// that the container has written is in its log. Who starts the container
// removes it before the folder's config.json is written.
const DrainedFile = "drained"

// Read gives the entries of the log at path and its rotated predecessors
// (path.1, path.2, …; the highest is the oldest), oldest first, to give. An
// entry's text is valid only during the call. Garbled lines are passed over.
// A log that does not exist is empty. Read ends with the error of give, with
// that of ctx (when following, an ended ctx is no error), or nil.
func Read(ctx context.Context, path string, o Options, give func(Entry) error) error {
	return errors.ErrUnsupported
}
