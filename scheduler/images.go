package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/compose-first/compose/project"
)

// Images plans the pulls and builds that come before an Up: what is missing,
// and what the policies ask for anew. present has the images that are there by
// their names as p.ImageName gives them. An image is pulled or built once,
// whatever the number of services that use it; builds run at the same time but
// for those that build upon another service's image.
func Images(p *project.Project, present map[string]Image, o ImageOptions) (Plan, []Warning, error) {
	if err := checkPull(o.Pull); err != nil {
		return Plan{}, nil, err
	}
	if o.Build && o.NoBuild {
		return Plan{}, nil, fmt.Errorf("--build and --no-build are incompatible")
	}
	services, err := selectServices(p, o.Services, !o.NoDeps)
	if err != nil {
		return Plan{}, nil, err
	}
	m := newImages(p, present, o)
	for _, name := range services {
		if err := m.want(name); err != nil {
			return Plan{}, nil, err
		}
	}
	plan, err := m.plan()
	return plan, nil, err
}

// checkPull refuses a policy that the command line does not know.
func checkPull(policy string) error {
	switch policy {
	case "", types.PullPolicyAlways, types.PullPolicyMissing, types.PullPolicyIfNotPresent,
		types.PullPolicyNever, types.PullPolicyBuild:
		return nil
	}
	return fmt.Errorf("invalid --pull option %q", policy)
}

// selectServices returns the named services, or all active ones, sorted, and
// as asked what they depend on.
func selectServices(p *project.Project, named []string, deps bool) ([]string, error) {
	for _, name := range named {
		if !active(p, name) {
			return nil, fmt.Errorf("no such service: %s", name)
		}
	}
	if deps || len(named) == 0 {
		return p.WithDependencies(named...), nil
	}
	services := slices.Sorted(slices.Values(named))
	return slices.Compact(services), nil
}

// imageKey is what makes two services' images the same one.
type imageKey struct{ name, platform string }

// imageNeed is what is to be done about an image.
type imageNeed struct {
	act      imageAct
	because  string
	services []string // that use it, sorted
	builders []string // that can build it, sorted
}

// imageAct is the way to an image. Of two services' ways the greater is taken.
type imageAct int

const (
	leave imageAct = iota
	pull
	pullOrBuild
	build
)

type images struct {
	p        *project.Project
	present  map[string]Image
	o        ImageOptions
	builders map[imageKey][]string // services of the project that build an image, sorted
	needs    map[imageKey]*imageNeed
}

func newImages(p *project.Project, present map[string]Image, o ImageOptions) *images {
	m := &images{p: p, present: present, o: o,
		builders: make(map[imageKey][]string), needs: make(map[imageKey]*imageNeed)}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if p.Services[name].Build != nil {
			key := m.key(name)
			m.builders[key] = append(m.builders[key], name)
		}
	}
	return m
}

func (m *images) key(service string) imageKey {
	return imageKey{name: m.p.ImageName(service), platform: m.p.Services[service].Platform}
}

// want takes in what a service needs of its image.
func (m *images) want(service string) error {
	s := m.p.Services[service]
	if s.Provider != nil {
		return nil
	}
	key := m.key(service)
	need := m.needs[key]
	if need == nil {
		need = &imageNeed{builders: m.builders[key]}
		m.needs[key] = need
	}
	if slices.Contains(need.services, service) {
		return nil
	}
	need.services = append(need.services, service)
	act, because, err := m.decide(&s, key)
	if err != nil {
		return err
	}
	if act > need.act {
		need.act, need.because = act, because
	}
	if s.Build == nil || act < pullOrBuild {
		return nil
	}
	for _, base := range contexts(&s) { // what it builds upon
		if active(m.p, base) {
			if err := m.want(base); err != nil {
				return err
			}
		}
	}
	return nil
}

// decide says what a service asks for, and why.
func (m *images) decide(s *types.ServiceConfig, key imageKey) (imageAct, string, error) {
	policy, every, err := m.policy(s)
	if err != nil {
		return leave, "", err
	}
	image, there := m.present[key.name]
	canBuild := len(m.builders[key]) > 0 && !m.o.NoBuild
	canPull := s.Image != "" && policy != types.PullPolicyNever && policy != types.PullPolicyBuild
	switch {
	case m.o.Build && canBuild:
		return build, "--build", nil
	case policy == types.PullPolicyBuild && canBuild:
		return build, "pull policy build", nil
	case policy == types.PullPolicyBuild && s.Build == nil && m.o.Pull == "":
		return leave, "", fmt.Errorf("service %q has pull_policy build and nothing to build", s.Name)
	case policy == types.PullPolicyBuild && len(m.builders[key]) == 0:
		canPull = s.Image != "" // given for all services, and this one has nothing to build
	}
	switch {
	case policy == types.PullPolicyAlways && canPull:
		return orBuild(canBuild), "pull policy always", nil
	case policy == types.PullPolicyRefresh && canPull && there && m.o.Now.Sub(image.Pulled) > every:
		return orBuild(canBuild), "last pulled more than " + shortDuration(every) + " ago", nil
	case there:
		return leave, "", nil
	case canPull:
		return orBuild(canBuild), "missing", nil
	case canBuild:
		return build, "missing", nil
	}
	return leave, "", fmt.Errorf("service %q: No such image: %s", s.Name, key.name)
}

func orBuild(canBuild bool) imageAct {
	if canBuild {
		return pullOrBuild
	}
	return pull
}

// policy is a service's pull policy, the command line's before the file's, and
// with refresh how long a pull is good for.
func (m *images) policy(s *types.ServiceConfig) (string, time.Duration, error) {
	if m.o.Pull != "" {
		return m.o.Pull, 0, nil
	}
	policy, every, err := s.GetPullPolicy()
	if err != nil {
		return "", 0, fmt.Errorf("service %q: %w", s.Name, err)
	}
	if s.PullPolicy == types.PullPolicyRefresh && s.PullRefreshAfter != "" {
		every, err = refreshAfter(s)
	}
	return policy, every, err
}

// refreshAfter reads pull_refresh_after the way pull_policy: every_… is read.
func refreshAfter(s *types.ServiceConfig) (time.Duration, error) {
	var as types.ServiceConfig
	as.PullPolicy = "every_" + s.PullRefreshAfter
	_, every, err := as.GetPullPolicy()
	if err != nil {
		return 0, fmt.Errorf("service %q: pull_refresh_after: %w", s.Name, err)
	}
	return every, nil
}

// shortDuration is d without the units that are zero at its end: "24h".
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// contexts are the services whose images a service's build uses, sorted.
func contexts(s *types.ServiceConfig) []string {
	var bases []string
	for _, from := range s.Build.AdditionalContexts {
		if base, ok := strings.CutPrefix(from, types.ServicePrefix); ok {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return slices.Compact(bases)
}

// plan adds a step for each image, pulls before builds.
func (m *images) plan() (Plan, error) {
	keys := slices.SortedFunc(maps.Keys(m.needs), func(a, b imageKey) int {
		return strings.Compare(a.name+"\x00"+a.platform, b.name+"\x00"+b.platform)
	})
	var b builder
	nodes := make(map[imageKey]int)
	for _, builds := range [2]bool{false, true} {
		for _, key := range keys {
			need := m.needs[key]
			slices.Sort(need.services)
			switch {
			case need.act == leave || builds != (need.act == build):
			case need.act == build:
				nodes[key] = b.add(BuildImage{Image: key.name, Services: need.builders, Because: need.because})
			case need.act == pullOrBuild:
				nodes[key] = b.add(PullImage{Image: key.name, Platform: key.platform, Services: need.services,
					OrBuild: need.builders, Because: need.because})
			default:
				nodes[key] = b.add(PullImage{Image: key.name, Platform: key.platform, Services: need.services, Because: need.because})
			}
		}
	}
	for _, key := range keys {
		m.afterBases(&b, nodes, key)
	}
	return b.plan()
}

// afterBases has an image that may be built come after those it builds upon.
func (m *images) afterBases(b *builder, nodes map[imageKey]int, key imageKey) {
	node, ok := nodes[key]
	if !ok || m.needs[key].act < pullOrBuild {
		return
	}
	for _, name := range m.needs[key].builders {
		s := m.p.Services[name]
		for _, base := range contexts(&s) {
			if before, ok := nodes[m.key(base)]; ok && active(m.p, base) && before != node {
				b.after(node, before)
			}
		}
	}
}
