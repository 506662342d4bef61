package main

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/compose-first/compose/engine"
)

// terminal is the user's terminal while a process in a container has it.
type terminal struct {
	sizes   <-chan engine.Size // the first one at once, then each change
	restore func()             // may be called more than once
}

// takeTerminal makes standard input raw, so that every key goes to the
// process, and follows the window's size.
func (a *app) takeTerminal() (*terminal, error) {
	fd := int(a.in.Fd())
	changed := make(chan os.Signal, 1)
	sizes := make(chan engine.Size, 1)
	done := make(chan struct{})
	signal.Notify(changed, unix.SIGWINCH)
	a.sendSize(sizes)
	go func() {
		for {
			select {
			case <-done:
				return
			case <-changed:
				a.sendSize(sizes)
			}
		}
	}()
	unraw := func() {}
	if isTerminal(a.in) {
		state, err := term.MakeRaw(fd)
		if err != nil {
			close(done)
			return nil, fmt.Errorf("take the terminal: %w", err)
		}
		unraw = func() { _ = term.Restore(fd, state) }
	}
	restored := false
	t := &terminal{sizes: sizes, restore: func() {
		if !restored {
			restored = true
			signal.Stop(changed)
			close(done)
			unraw()
		}
	}}
	a.atEnd(t.restore)
	return t, nil
}

// windowSize is that of the user's terminal, zero where there is none.
func (a *app) windowSize() engine.Size {
	width, height, err := term.GetSize(int(a.stdout.Fd()))
	if err != nil {
		width, height, err = term.GetSize(int(a.in.Fd()))
	}
	if err != nil {
		return engine.Size{}
	}
	return engine.Size{Width: uint16(width), Height: uint16(height)}
}

// sendSize puts the window's size on sizes, in place of one not read yet.
func (a *app) sendSize(sizes chan engine.Size) {
	size := a.windowSize()
	if size == (engine.Size{}) {
		return
	}
	select {
	case <-sizes:
	default:
	}
	select {
	case sizes <- size:
	default:
	}
}
