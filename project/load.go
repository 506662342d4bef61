package project

import (
	"context"
	"errors"
)

// Load finds, reads and validates the project that o describes.
// Where file, line, service or key of a fault are known, the error is an
// *Error.
func Load(ctx context.Context, o Options) (*Project, error) {
	return nil, errors.New("in progress")
}

// Name returns the project's name alone: from o.Name or COMPOSE_PROJECT_NAME
// without any file, else from the files and their folder.
func Name(ctx context.Context, o Options) (string, error) {
	return "", errors.New("in progress")
}
