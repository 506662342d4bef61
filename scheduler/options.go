package scheduler

import (
	"fmt"
	"time"
)

// Options are those of Up, Create, Scale and OneOff.
type Options struct {
	Services           []string // none: all active ones
	NoDeps             bool     // the named services alone
	ForceRecreate      bool     // replace the named services' containers
	NoRecreate         bool     // replace none
	AlwaysRecreateDeps bool     // replace those of the dependencies too
	RenewAnonVolumes   bool     // replace, with new anonymous volumes
	RemoveOrphans      bool
	IgnoreOrphans      bool // no warning
	NoStart            bool
	Wait               bool           // until all run, and are healthy where they have a check
	AllResources       bool           // networks and volumes too that no service uses
	Scale              map[string]int // replicas by service, before the file's
	Timeout            *time.Duration // for every stop; nil: the service's stop_grace_period
	ReplaceVolumes     []string       // full names of changed volumes whose data may go, see ChangedVolumes
}

// DownOptions are those of Down.
type DownOptions struct {
	Services      []string // none: all active ones, or all there are without a file
	RemoveOrphans bool
	Volumes       bool           // named volumes of the file, and anonymous ones
	Images        string         // "": none; "local": those built under a default name; "all"
	Timeout       *time.Duration // nil: the service's stop_grace_period
}

// StopOptions are those of Stop.
type StopOptions struct {
	Services []string
	Timeout  *time.Duration
}

// StartOptions are those of Start.
type StartOptions struct {
	Services []string
	Wait     bool
}

// RestartOptions are those of Restart.
type RestartOptions struct {
	Services []string
	NoDeps   bool // not the dependents with restart: true
	Timeout  *time.Duration
}

// KillOptions are those of Kill.
type KillOptions struct {
	Services []string
	Signal   string // "": SIGKILL
	Orphans  bool   // those of services that the file does not have, too
}

// RemoveOptions are those of Remove.
type RemoveOptions struct {
	Services []string
	Stop     bool           // stop first what runs
	Volumes  bool           // anonymous volumes too
	Timeout  *time.Duration // with Stop
}

// ImageOptions are those of Images.
type ImageOptions struct {
	Services []string
	NoDeps   bool
	Pull     string // policy before those of the file: always, missing, if_not_present, never, build; "": the file's
	Build    bool   // build all that can be built
	NoBuild  bool
	Now      time.Time // for daily, weekly and every_…
}

// PullOptions are those of Pull.
type PullOptions struct {
	Services        []string
	IncludeDeps     bool
	IgnoreBuildable bool
	IgnoreFailures  bool
	Policy          string // "", "missing" or "always"
}

// BuildOptions are those of Build.
type BuildOptions struct {
	Services []string
	WithDeps bool
}

// Warning is a sentence for the user about a plan.
type Warning struct {
	Text string
	Info bool // nothing is amiss
}

func warning(format string, args ...any) Warning { return Warning{Text: fmt.Sprintf(format, args...)} }
