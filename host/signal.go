package host

import (
	"syscall"

	"github.com/moby/sys/signal"
)

// endsContainer says whether a signal is SIGKILL or the one that the container
// is stopped with.
func endsContainer(sent, stop string) bool {
	s, err := signal.ParseSignal(orDefault(sent, "SIGKILL"))
	if err != nil {
		return false // Kill refuses it
	}
	if s == syscall.SIGKILL {
		return true
	}
	t, err := signal.ParseSignal(orDefault(stop, "SIGTERM"))
	return err == nil && s == t
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
