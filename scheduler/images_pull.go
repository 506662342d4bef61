package scheduler

import (
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/compose-first/compose/project"
)

// Pull plans the pull of services' images, those that are there too unless a
// policy says otherwise. What is passed over is in the plan's Notes.
func Pull(p *project.Project, present map[string]Image, o PullOptions) (Plan, []Warning, error) {
	if o.Policy != "" && o.Policy != types.PullPolicyMissing && o.Policy != types.PullPolicyAlways {
		return Plan{}, nil, fmt.Errorf("invalid --policy option %q", o.Policy)
	}
	services, err := selectServices(p, o.Services, o.IncludeDeps)
	if err != nil {
		return Plan{}, nil, err
	}
	m := newImages(p, present, ImageOptions{})
	var notes []Note
	for _, name := range services {
		s := p.Services[name]
		if s.Provider != nil {
			continue
		}
		key := m.key(name)
		if why := skipPull(&s, present, key.name, o); why != "" {
			notes = append(notes, Note{ID: imageID(key.name), Text: "Skipped " + why})
			continue
		}
		if m.needs[key] == nil {
			m.needs[key] = &imageNeed{act: pull, because: requested}
		}
		m.needs[key].services = append(m.needs[key].services, name)
	}
	plan, err := m.plan()
	for i := range plan.Nodes {
		plan.Nodes[i].Optional = o.IgnoreFailures
	}
	plan.Notes = notes
	return plan, nil, err
}

// skipPull says why a service's image is not pulled, or "".
func skipPull(s *types.ServiceConfig, present map[string]Image, image string, o PullOptions) string {
	_, there := present[image]
	switch {
	case s.Build != nil && s.Image == "":
		return "No image to be pulled"
	case s.Build != nil && o.IgnoreBuildable, s.PullPolicy == types.PullPolicyBuild:
		return "Image can be built"
	case o.Policy == types.PullPolicyAlways:
		return ""
	case s.PullPolicy == types.PullPolicyNever && there:
		return "Image is already present locally"
	case s.PullPolicy == types.PullPolicyNever:
		return "pull policy never"
	case there && !isLatest(image) && (o.Policy == types.PullPolicyMissing || missingOnly(s.PullPolicy)):
		return "Image is already present locally"
	}
	return ""
}

func missingOnly(policy string) bool {
	return policy == types.PullPolicyMissing || policy == types.PullPolicyIfNotPresent
}

// isLatest says whether a reference has the tag latest, or none, which is the
// same: such an image is refreshed even when only missing ones are pulled.
func isLatest(image string) bool {
	if strings.Contains(image, "@") {
		return false
	}
	_, tag, found := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return !found || tag == "latest"
}
