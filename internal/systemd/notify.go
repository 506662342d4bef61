package systemd

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready tells systemd that the service has started.
func Ready() error { return notify(daemon.SdNotifyReady) }

// Well tells systemd's watchdog that the service is well.
func Well() error { return notify(daemon.SdNotifyWatchdog + "\nSTATUS=the engine answers") }

// Status tells systemd, for `systemctl status`, how the service is.
func Status(text string) error { return notify("STATUS=" + text) }

// Ending tells systemd that the service is about to end.
func Ending() error { return notify(daemon.SdNotifyStopping) }

// notify does nothing in a process that systemd has not started.
func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}

// WatchdogInterval is how long the watchdog waits for a sign of life before it
// acts; 0 without a watchdog.
func WatchdogInterval() (time.Duration, error) {
	d, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("read the watchdog's interval: %w", err)
	}
	return d, nil
}
