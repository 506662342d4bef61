package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/lock"
)

// shimGate lets the first container of a shim group go ahead: when several
// start a new group at once, each finds a socket that does not answer yet and
// makes a shim of its own. The zero value is ready.
type shimGate struct {
	mu     sync.Mutex // guards groups
	groups map[string]*gate
}

// gate is open once a container of its group has a task.
type gate struct {
	first chan struct{} // holds a token while nobody goes ahead
	open  chan struct{} // closed when it is open
}

// pass runs act: alone if no act of the group has succeeded yet, else at once.
// No group, no gate.
func (s *shimGate) pass(ctx context.Context, group string, act func() error) error {
	if group == "" {
		return act()
	}
	g := s.of(group)
	select {
	case <-g.open:
		return act()
	case <-ctx.Done():
		return ctx.Err()
	case <-g.first:
	}
	err := act()
	if err == nil {
		close(g.open) // the token stays out: nobody waits for it any more
	} else {
		g.first <- struct{}{}
	}
	return err
}

func (s *shimGate) of(group string) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.groups[group]
	if !ok {
		g = &gate{first: make(chan struct{}, 1), open: make(chan struct{})}
		g.first <- struct{}{}
		if s.groups == nil {
			s.groups = map[string]*gate{}
		}
		s.groups[group] = g
	}
	return g
}

// A shim ends with its last container. It does not count one that is being
// made: were another deleted at that moment, the shim would take the half made
// one along. So in a group containers are made together, and deleted when none
// is being made. Several processes do either, hence locks on files, and several
// goroutines of one, which need not ask the kernel whose turn it is.
const (
	shimMaking   = unix.LOCK_SH
	shimDeleting = unix.LOCK_EX
)

// shimTurns are the turns of the goroutines of a process, by the first character
// of the group: with sixteen of them groups hardly ever meet. The zero value is ready.
type shimTurns [16]sync.RWMutex

// take waits for a turn. It is not given up on: the turns before it are those
// of this process, which ends them.
func (s *shimTurns) take(group string, how int) (release func()) {
	turn := &s[int(group[0])%len(s)]
	if how == shimMaking {
		turn.RLock()
		return turn.RUnlock
	}
	turn.Lock()
	return turn.Unlock
}

// shimTurn waits until containers of a group may be made, or deleted.
func (c *Client) shimTurn(ctx context.Context, group string, how int) (release func(), retErr error) {
	if group == "" {
		return func() {}, nil
	}
	done := c.shimTurns.take(group, how)
	defer func() {
		if retErr != nil {
			done()
		}
	}()
	path := c.cfg.Root.Lock("shim-" + group[:1])
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make lock folder: %w", err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of shims: %w", err)
	}
	if err := lock.Flock(ctx, fd, how, nil); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("lock shims: %w", err)
	}
	return func() {
		unix.Close(fd)
		done()
	}, nil
}

// shimGroup is the group in a spec, "" without one.
func shimGroup(spec typeurl.Any) string {
	var s struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(spec.GetValue(), &s); err != nil {
		return "" // runc will say what is wrong with it
	}
	return s.Annotations[groupAnnotation]
}
