package scheduler

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/compose-first/compose/project"
)

// ErrNoService means that there is no active service to plan for.
var ErrNoService = errors.New("no service selected")

// Up plans what brings a project up: networks and volumes, containers that
// are missing, outdated or stopped, and the waiting that the conditions of
// depends_on ask for.
func Up(p *project.Project, live Live, o Options) (Plan, []Warning, error) {
	u, err := newUp(p, live, o)
	if err != nil {
		return Plan{}, nil, err
	}
	return u.run()
}

// Scale plans the numbers of containers in o.Scale, with no container
// replaced.
func Scale(p *project.Project, live Live, o Options) (Plan, []Warning, error) {
	o.Services = slices.Sorted(maps.Keys(o.Scale))
	o.NoRecreate = true
	return Up(p, live, o)
}

// OneOff plans what a one-off container of service needs before it is
// created: networks, volumes, and its dependencies up to their conditions.
// Nothing is done to the service's own containers.
func OneOff(p *project.Project, live Live, service string, o Options) (Plan, []Warning, error) {
	o.Services = []string{service}
	u, err := newUp(p, live, o)
	if err != nil {
		return Plan{}, nil, err
	}
	u.oneOff = u.g.index[service]
	return u.run()
}

// up is the planning of an Up. Its methods decide first, in the order of
// dependencies, and add steps after that.
type up struct {
	p    *project.Project
	live Live
	o    Options

	g        *graph
	b        builder
	warnings []Warning
	services []upService // by service of g
	networks map[string]*resource
	volumes  map[string]*resource
	orphans  []*Container
	cleared  []int // nodes that remove orphans
	oneOff   int   // service of g whose containers are left alone, or none
	replaces bool  // a network or volume is replaced
}

// upService is what is decided for a service.
type upService struct {
	selected bool // its containers are brought to what the file says
	named    bool // by the user, or all are
	optional bool // no service selected needs it
	early    bool // its stops come before what they would otherwise wait for
	replaced bool // a container of it is replaced
	renewed  bool // a container of it is replaced or new
	bounced  bool // its containers stop and start
	wants    wants
	slots    []slot
	gone     []slot // containers to remove: keep and because
}

func newUp(p *project.Project, live Live, o Options) (*up, error) {
	if err := checkUp(p, o); err != nil {
		return nil, err
	}
	u := &up{p: p, live: live, o: o, g: newGraph(p, live), oneOff: none}
	u.services = make([]upService, len(u.g.names))
	u.choose()
	return u, nil
}

func (u *up) run() (Plan, []Warning, error) {
	if err := u.chooseResources(); err != nil {
		return Plan{}, nil, err
	}
	u.chooseOrphans()
	for i := range u.services {
		if err := u.decide(i); err != nil {
			return Plan{}, nil, err
		}
	}
	u.addResources()
	u.addCreates()
	stops := u.addStops()
	u.addRemoves(stops)
	u.addStarts()
	plan, err := u.b.plan()
	if err != nil {
		return Plan{}, nil, err
	}
	plan.Unchanged = u.unchanged()
	return plan, u.warnings, nil
}

// checkUp refuses what cannot be planned.
func checkUp(p *project.Project, o Options) error {
	for _, name := range o.Services {
		if !active(p, name) {
			return fmt.Errorf("no such service: %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Scale)) {
		s, ok := p.Services[name]
		switch n := o.Scale[name]; {
		case !ok:
			return fmt.Errorf("no such service: %s: %w", name, ErrNotFound)
		case n < 0:
			return fmt.Errorf("service %q: scale must not be negative", name)
		case n > 1 && s.ContainerName != "":
			return fmt.Errorf("service %q is using the custom container name %q, which only one container can have: "+
				"it cannot be scaled to %d", name, s.ContainerName, n)
		}
	}
	if len(p.Services) == 0 && !o.AllResources {
		return ErrNoService
	}
	return nil
}

// choose marks the services that are selected, and how.
func (u *up) choose() {
	var named []int
	for i, name := range u.g.names {
		if active(u.p, name) && (len(u.o.Services) == 0 || slices.Contains(u.o.Services, name)) {
			u.services[i].named = true
			named = append(named, i)
		}
	}
	selected := u.g.closure(named, false)
	needed := u.g.closure(u.roots(named), true)
	for i := range u.services {
		s := &u.services[i]
		s.selected = s.named || selected[i] && !u.o.NoDeps
		s.optional = s.selected && !needed[i]
	}
}

// roots are the services of named that are wanted for themselves: named one
// by one, or not there only as an optional dependency of others.
func (u *up) roots(named []int) []int {
	if len(u.o.Services) > 0 {
		return named
	}
	var roots []int
	for _, i := range named {
		by := u.g.neededBy[i]
		if len(by) == 0 || slices.ContainsFunc(by, func(e edge) bool { return e.required }) {
			roots = append(roots, i)
		}
	}
	return roots
}
