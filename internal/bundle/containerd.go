package bundle

import (
	"context"
	"errors"
)

// EnsureContainerd returns the socket path of a containerd that serves: the one
// that Address names, or our own, which is started when it does not run. It
// then runs on by itself, whatever becomes of the process that started it.
func (b *Bundle) EnsureContainerd(ctx context.Context) (address string, err error) {
	return "", errors.New("in progress")
}
