package agent

import (
	"context"
	"errors"

	"github.com/compose-first/compose/internal/layout"
)

// Run is the agent process; it returns when ctx ends.
func Run(ctx context.Context, cfg Config) error { return errors.ErrUnsupported }

// Logger is the logger process, which starts `binary agent run` and keeps it
// alive; it returns when ctx ends.
func Logger(ctx context.Context, root layout.Root, binary string) error { return errors.ErrUnsupported }
