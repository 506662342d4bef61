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

// wantsRestart reports whether a container that has ended, after so many
// restarts, is to run again: its policy says so, and nobody has stopped it by hand.
func wantsRestart(c engine.Container, restarts int) bool {
	return !c.Stopped && c.Record.Restart.Again(c.ExitCode, restarts)
}

// nextPause is the pause before the next restart, after a run that lasted ran
// and had a pause of last before it; 0 is no restart before.
func nextPause(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= goodRun {
		return firstPause
	}
	return min(2*last, lastPause)
}

// wantsBoot reports whether the start of the engine starts a container: none
// that was stopped by hand, whatever its policy, and those of "on-failure" only
// when the machine took them down with it.
func wantsBoot(c engine.Container) bool {
	if c.StartedAt.IsZero() || up(c) || c.Stopped {
		return false
	}
	switch c.Record.Restart.Name {
	case project.RestartAlways, project.RestartUnlessStopped:
		return true
	case project.RestartOnFailure:
		return lost(c)
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
		wantsRestart(c, c.RestartCount))
}
