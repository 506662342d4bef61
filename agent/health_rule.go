package agent

import (
	"time"

	"github.com/compose-first/compose/project"
)

// Health statuses, as the label has them.
const (
	statusStarting  = "starting"
	statusHealthy   = "healthy"
	statusUnhealthy = "unhealthy"
)

// quickProbe is the pause after the first probe of a run. It doubles with each
// failure up to the interval, so that a service is seen to be healthy soon
// after it is.
const quickProbe = 50 * time.Millisecond

// vitals is what is known of the health of one run of a container.
type vitals struct {
	Status    string
	Streak    int       // failures in a row that counted
	Started   time.Time // of the run
	Counted   time.Time // end of the last failure that counted; zero: none yet
	Succeeded bool      // a probe has succeeded in this run
	Pause     time.Duration
}

// newVitals is the state of a run that began at started, with the status that
// its label has: an agent that is new goes on where the one before was.
func newVitals(status string, started time.Time, h project.Health) vitals {
	v := vitals{Status: status, Started: started}
	switch status {
	case statusHealthy:
		v.Succeeded = true
	case statusUnhealthy:
		v.Succeeded, v.Streak = true, h.Retries
	default:
		v.Status = statusStarting
	}
	return v
}

// after is the state after a probe that ended now.
//
// A failure counts when it is not in the start period, and not sooner after
// the start of the run, or the last one that counted, than the interval: the
// quick probes at the beginning may succeed early, and cannot fail early.
func (v vitals) after(h project.Health, ok bool, now time.Time) vitals {
	if ok {
		v.Status, v.Streak, v.Succeeded, v.Pause = statusHealthy, 0, true, 0
		return v
	}
	if v.starting(h, now) || now.Sub(v.lastCounted()) < h.Interval {
		return v
	}
	v.Streak++
	v.Counted = now
	if v.Streak >= h.Retries {
		v.Status = statusUnhealthy
	}
	return v
}

// wait is the state with the pause between a probe that ended now and the next.
func (v vitals) wait(h project.Health, now time.Time) vitals {
	if v.Succeeded {
		v.Pause = h.Interval
		return v
	}
	limit := h.Interval
	if v.starting(h, now) && h.StartInterval > 0 {
		limit = h.StartInterval
	}
	v.Pause = min(max(2*v.Pause, quickProbe), limit)
	return v
}

// starting reports whether the start period lasts: a success ends it.
func (v vitals) starting(h project.Health, now time.Time) bool {
	return !v.Succeeded && now.Sub(v.Started) < h.StartPeriod
}

// lastCounted is the moment from which the next failure has to be the interval away.
func (v vitals) lastCounted() time.Time {
	if v.Counted.IsZero() && !v.Succeeded {
		return v.Started
	}
	return v.Counted
}

// withDefaults fills in what a garbled or foreign record lacks.
// Source: Compose Specification, healthcheck: 30 s, 30 s, 3, 5 s.
func withDefaults(h project.Health) project.Health {
	if h.Interval <= 0 {
		h.Interval = 30 * time.Second
	}
	if h.Timeout <= 0 {
		h.Timeout = 30 * time.Second
	}
	if h.Retries <= 0 {
		h.Retries = 3
	}
	if h.StartInterval <= 0 {
		h.StartInterval = 5 * time.Second
	}
	return h
}

// probeArgs is the command of a check; nil when it has none.
func probeArgs(test []string) []string {
	switch {
	case len(test) >= 2 && test[0] == "CMD":
		return test[1:]
	case len(test) == 2 && test[0] == "CMD-SHELL":
		return []string{"/bin/sh", "-c", test[1]}
	}
	return nil
}
