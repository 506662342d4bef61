package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/compose-first/compose/internal/systemd"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/volumes"
)

// daemons looks whether the engine runs, and answers.
func daemons(ctx context.Context, c Config) []Finding {
	if c.Bundle == nil {
		return nil // versions has said so
	}
	var all []Finding
	for _, d := range c.Bundle.Status(ctx) {
		switch {
		case d.Running && d.Version == "":
			all = append(all, Finding{Status: Problem, Found: fmt.Sprintf("%s runs as process %d and does not answer", d.Name, d.PID), Means: "commands wait for it, and fail",
				Do: fmt.Sprintf("see its log %s; `compose engine run` or `systemctl restart compose` replaces it, and containers run on", c.Root.DaemonLog(d.Name))})
		case d.Running:
			all = append(all, Finding{Status: OK, Found: fmt.Sprintf("%s %s answers at %s", d.Name, d.Version, d.Socket), Means: "it does its work"})
		default:
			all = append(all, Finding{Status: Note, Found: d.Name + " does not run", Means: "it starts by itself when it is needed"})
		}
	}
	if c.EngineError != nil {
		all = append(all, Finding{Status: Problem, Found: c.EngineError.Error(), Means: "no command can ask for containers", Do: "see " + c.Root.DaemonLog("containerd")})
	}
	return append(all, supervisor(c), shortPaths(c))
}

// supervisor looks at the agent.
func supervisor(c Config) Finding {
	switch {
	case c.AgentError != nil:
		return Finding{Status: Problem, Found: fmt.Sprintf("the agent does not answer (%v)", c.AgentError), Means: "nobody restarts containers, checks their health or follows their ports", Do: "run `compose engine start`: it replaces the agent, and containers run on"}
	case c.AgentVersion == "":
		return Finding{Status: Note, Found: "the agent does not run", Means: "it starts with the first container"}
	case c.AgentVersion != c.Version:
		return Finding{Status: Note, Found: fmt.Sprintf("the agent is version %s, and this command %s", c.AgentVersion, c.Version), Means: "the next command that starts containers replaces it; they do not notice"}
	}
	return Finding{Status: OK, Found: "the agent " + c.AgentVersion + " answers", Means: "names, ports, health and restarts are looked after"}
}

// longestSocket is the longest path of a socket that is made below the run
// folder, in bytes: what is left for the folder follows.
// Source: unix(7), sun_path of 108 bytes, the ending zero included.
const longestSocket = 107

// shortPaths looks whether sockets can be made.
func shortPaths(c Config) Finding {
	for _, socket := range []string{c.Root.ContainerdSocket() + ".ttrpc", c.Root.BuildkitSocket() + ".otel", c.Root.AgentSocket()} {
		if len(socket) > longestSocket {
			return Finding{Status: Problem, Found: fmt.Sprintf("the path %s has %d bytes, %d more than a socket may have", socket, len(socket), len(socket)-longestSocket), Means: "the engine cannot start", Do: "choose a shorter COMPOSE_ENGINE_ROOT"}
		}
	}
	return Finding{Status: OK, Found: "the engine's root is " + c.Root.State + " and " + c.Root.Run, Means: "all that it keeps is there"}
}

// boot looks whether the engine comes back after a reboot.
func boot(_ context.Context, c Config) []Finding {
	switch {
	case c.Service.Installed():
		return []Finding{{Status: OK, Found: c.Service.Path() + " is installed", Means: "the engine and its containers are back after a reboot"}}
	case systemd.Booted():
		return []Finding{{Status: Note, Found: "there is no " + c.Service.Path(), Means: "after a reboot containers come back with the first command only", Do: "`compose engine install` has systemd start the engine"}}
	}
	return []Finding{{Status: Note, Found: "this machine was not booted with systemd", Means: "after a reboot containers come back with the first command only", Do: "have the init run `compose engine start` at boot"}}
}

// records reads all that is recorded.
func records(ctx context.Context, c Config) []Finding {
	var all []Finding
	tell := func(what string, err error) {
		for _, e := range parts(err) {
			all = append(all, Finding{Status: Problem, Found: e.Error(), Means: "commands do not know this " + what, Do: "put the file back from a backup, or run `compose up` of its project: it is written anew, and no volume is touched"})
		}
	}
	networks, err := netplan.OpenStore(c.Root).List()
	tell("network", err)
	found, err := volumes.OpenStore(c.Root).List()
	tell("volume", err)
	number := 0
	if c.Engine != nil {
		containers, err := c.Engine.Observe(ctx, "")
		tell("container", err)
		for _, container := range containers {
			if container.RecordError != nil {
				tell("container", fmt.Errorf("container %s: %w", container.Name, container.RecordError))
			}
		}
		number = len(containers)
	}
	if len(all) > 0 {
		return all
	}
	what := fmt.Sprintf("the records of %d networks and %d volumes", len(networks), len(found))
	if c.Engine != nil {
		what += fmt.Sprintf(", and of %d containers,", number)
	}
	return []Finding{{Status: OK, Found: what + " can be read", Means: "nothing is garbled in " + filepath.Dir(c.Root.Networks())}}
}

// parts are the errors that were joined to one.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	if joined := (interface{ Unwrap() []error })(nil); errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}
