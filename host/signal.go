package host

import (
	"syscall"

	"github.com/moby/sys/signal"
)

// endsContainer says whether a signal is SIGKILL or the one that the container
// is stopped with.
func endsContainer(sent, stop string) bool {
	if isSIGKILL(sent) {
		return true
	}
	s, err := signal.ParseSignal(sent)
	if err != nil {
		return false // Kill refuses it
	}
	t, err := signal.ParseSignal(orDefault(stop, "SIGTERM"))
	return err == nil && s == t
}

// isSIGKILL reads a signal as `kill` does, for which "" is SIGKILL.
func isSIGKILL(sent string) bool {
	s, err := signal.ParseSignal(orDefault(sent, "SIGKILL"))
	return err == nil && s == syscall.SIGKILL
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
