package scheduler

import (
	"errors"

	"github.com/compose-first/compose/project"
)

var errPending = errors.New("in progress")

// Up plans what brings the project up.
func Up(p *project.Project, live Live, o Options) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// OneOff plans what the one-off container of a service needs: networks, volumes, dependencies.
func OneOff(p *project.Project, live Live, service string, o Options) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// ChangedVolumes lists, by full name, the volumes whose definition has changed.
func ChangedVolumes(p *project.Project, live Live, o Options) []string { return nil }

// Scale plans o.Scale for its services, replacing none.
func Scale(p *project.Project, live Live, o Options) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Down plans; p is nil where only the project's name is known.
func Down(p *project.Project, live Live, o DownOptions) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Stop plans; p may be nil.
func Stop(p *project.Project, live Live, o StopOptions) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Start plans; p may be nil.
func Start(p *project.Project, live Live, o StartOptions) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Restart plans; p may be nil.
func Restart(p *project.Project, live Live, o RestartOptions) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Kill plans; p may be nil.
func Kill(p *project.Project, live Live, o KillOptions) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Remove plans; p may be nil.
func Remove(p *project.Project, live Live, o RemoveOptions) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Images plans pulls and builds that an up needs; present is by image name as p.ImageName gives it.
func Images(p *project.Project, present map[string]Image, o ImageOptions) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Pull plans the command of that name.
func Pull(p *project.Project, present map[string]Image, o PullOptions) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Build plans the command of that name.
func Build(p *project.Project, o BuildOptions) (Plan, []Warning, error) {
	return Plan{}, nil, errPending
}

// Removals are the full names of the containers that the plan removes, sorted.
func (p Plan) Removals() []string { return nil }
