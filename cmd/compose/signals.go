package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// echo is how soon after a signal the same one counts as the same: it comes
// twice where both the terminal and a parent such as timeout(1) send it.
const echo = 20 * time.Millisecond

// signals gives SIGINT and SIGTERM to one handler at a time: as a rule the
// first ends the command's context and the second the process; attached
// commands take them over.
type signals struct {
	mu    sync.Mutex
	taken chan<- os.Signal // nil: the rule
}

// catchSignals returns a context that the first signal ends, with the cause
// errInterrupted, and a function that stops catching.
func (a *app) catchSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	a.signals = &signals{}
	ch := make(chan os.Signal, 8)
	signal.Notify(ch, unix.SIGINT, unix.SIGTERM)
	go func() {
		var last os.Signal
		var at time.Time
		for s := range ch {
			if s == last && time.Since(at) < echo {
				continue
			}
			last, at = s, time.Now()
			if a.signals.forward(s) {
				continue
			}
			if ctx.Err() != nil {
				a.hide()
				os.Exit(codeInterrupted)
			}
			cancel(errInterrupted)
		}
	}()
	return ctx, func() {
		signal.Stop(ch)
		close(ch)
		cancel(nil)
	}
}

// forward gives s to whoever has taken the signals over.
func (s *signals) forward(sig os.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == nil {
		return false
	}
	select {
	case s.taken <- sig:
	default: // it has not looked at the last eight yet
	}
	return true
}

// take has signals sent to the channel it returns until release is called.
func (s *signals) take() (caught <-chan os.Signal, release func()) {
	ch := make(chan os.Signal, 8)
	s.mu.Lock()
	s.taken = ch
	s.mu.Unlock()
	return ch, func() {
		s.mu.Lock()
		s.taken = nil
		s.mu.Unlock()
	}
}

// signalName is a signal as the kill command takes it: "SIGINT".
func signalName(s os.Signal) string {
	if n, ok := s.(unix.Signal); ok {
		return unix.SignalName(n)
	}
	return "SIGTERM"
}
