package agent

import (
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
)

// Bounds of the pause before a restart, and how long a container has to run
// for the pause to begin anew.
// Source: Docker Engine, restart policies: 100 ms doubling up to a minute, reset after 10 s.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Minute
	goodRun    = 10 * time.Second
)

// Policies of a container.
const (
	policyAlways        = "always"
	policyUnlessStopped = "unless-stopped"
	policyOnFailure     = "on-failure"
)

// wantsRestart reports whether a container that has ended is to run again:
// its policy says so, and nobody has stopped it by hand.
func wantsRestart(p project.Restart, stopped bool, exitCode, restarts int) bool {
	if stopped {
		return false
	}
	switch p.Name {
	case policyAlways, policyUnlessStopped:
		return true
	case policyOnFailure:
		return exitCode != 0 && (p.Max == 0 || restarts < p.Max)
	}
	return false
}

// nextPause is the pause before the next restart, after a run that lasted ran
// and had a pause of last before it; 0 is no restart before.
func nextPause(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= goodRun {
		return firstPause
	}
	return min(2*last, lastPause)
}

// wantsBoot reports whether the start of the engine starts a container: those
// of "always" even when they had been stopped, those of "unless-stopped" only
// when not, and those of "on-failure" that the machine took down with it.
func wantsBoot(c engine.Container) bool {
	if c.StartedAt.IsZero() || up(c) {
		return false
	}
	switch c.Record.Restart.Name {
	case policyAlways:
		return true
	case policyUnlessStopped:
		return !c.Stopped
	case policyOnFailure:
		return !c.Stopped && lost(c)
	}
	return false
}

// up reports whether a container has a process.
func up(c engine.Container) bool {
	return c.State == engine.StateRunning || c.State == engine.StatePaused
}

// ended reports whether a container ran and does not any more.
func ended(c engine.Container) bool {
	switch c.State {
	case engine.StateExited, engine.StateRestarting, engine.StateDead:
		return !c.StartedAt.IsZero()
	}
	return false
}

// lost reports whether nothing is known of how a container's last run ended:
// the machine went down with it. One that is being started looks the same for
// a moment, unless it was asked for under the engine's lock (Settle).
func lost(c engine.Container) bool {
	return !up(c) && !c.StartedAt.IsZero() && c.FinishedAt.IsZero()
}

// settled reports whether the end of a container's last run is written down.
func settled(c engine.Container) bool { return c.Labels[project.LabelFinishedAt] != "" }

// needsCare reports whether the agent has to do something about a container
// that has ended.
func needsCare(c engine.Container) bool {
	return ended(c) && (!settled(c) || c.Labels[project.LabelRestarting] != "" ||
		wantsRestart(c.Record.Restart, c.Stopped, c.ExitCode, c.RestartCount))
}
