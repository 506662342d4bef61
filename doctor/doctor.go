// Package doctor examines a machine: whether it has what an engine needs, what
// stands in the way of its containers, and what of the engine is left over that
// nothing needs any more. It looks and tells; only Fix changes something, and
// only what an engine of compose has made and nothing owns. Volumes it never
// touches.
//
// A check is a function that returns findings, in the file of its subject; the
// list of all is checks, below. What left-overs are is in leftovers.go.
package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/host"
	"github.com/compose-first/compose/internal/bundle"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/systemd"
)

// Status is what a finding means for the user.
type Status string

// From good to bad.
const (
	OK      Status = "ok"      // as it should be
	Fixed   Status = "fixed"   // Fix has set it right
	Note    Status = "note"    // worth knowing, and nothing to be done
	Warning Status = "warning" // in nobody's way yet
	Problem Status = "problem" // stands in the way of containers
)

// Finding is one line of a doctor's report.
type Finding struct {
	Check  string `json:"check"`        // what was looked at, "disk"
	Status Status `json:"status"`       //
	Found  string `json:"found"`        // what is
	Means  string `json:"means"`        // for the containers
	Do     string `json:"do,omitempty"` // "" when there is nothing to do

	fix func(ctx context.Context) error // nil: not for Fix
}

// String is the finding without check and status.
func (f Finding) String() string {
	text := f.Found + ": " + f.Means
	if f.Do != "" {
		text += "; " + f.Do
	}
	return text
}

// Fixable tells whether Fix would set it right.
func (f Finding) Fixable() bool { return f.fix != nil }

// Config says whom to examine.
type Config struct {
	Root    layout.Root
	Version string // of compose

	Bundle      *bundle.Bundle // nil where there is none
	BundleError error

	Engine      *engine.Client // nil when it does not run
	EngineError error          // why it does not answer, although it runs
	Machine     *host.Machine  // nil without Engine

	AgentVersion string // "" when it does not run
	AgentError   error  // why it does not answer, although it runs

	Service systemd.Service
}

// check is one thing to look at.
type check struct {
	name string
	look func(ctx context.Context, c Config) []Finding
}

// checks in the order of the report: the machine, the network, the engine.
var checks = []check{
	{"versions", versions},
	{"kernel", kernel},
	{"overlayfs", overlay},
	{"network", network},
	{"cgroups", cgroups},
	{"disk", disk},
	{"forwarding", forwarding},
	{"firewall", firewall},
	{"subnets", subnets},
	{"engine", daemons},
	{"boot", boot},
	{"records", records},
	{"left-overs", leftovers},
}

// Examine looks at everything and changes nothing.
func Examine(ctx context.Context, c Config) ([]Finding, error) {
	var all []Finding
	for _, check := range checks {
		for _, f := range check.look(ctx, c) {
			f.Check = check.name
			all = append(all, f)
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
	}
	return all, nil
}

// Fix sets right what can be, and returns the findings as they are then.
func Fix(ctx context.Context, findings []Finding) []Finding {
	var all []Finding
	for _, f := range findings {
		if f.fix != nil {
			if err := f.fix(ctx); err != nil {
				f.Status, f.Means, f.Do = Problem, fmt.Sprintf("it could not be removed: %v", err), "stop what uses it, and try again"
			} else {
				f.Status, f.Means, f.Do = Fixed, "it is removed", ""
			}
			f.fix = nil
		}
		all = append(all, f)
	}
	return all
}

// Problems is how many findings stand in the way.
func Problems(findings []Finding) (n int) {
	for _, f := range findings {
		if f.Status == Problem {
			n++
		}
	}
	return n
}

// unknown is the finding that something could not be looked at.
func unknown(what string, err error) Finding {
	return Finding{Status: Warning, Found: fmt.Sprintf("%s could not be looked at (%v)", what, err), Means: "nothing is known of it", Do: "look into the reason given"}
}

// cause is the innermost of an error: "no space left on device".
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
