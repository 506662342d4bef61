package project

import (
	"fmt"
	"strconv"
)

// ContainerName returns the name of a service's container: container_name
// where it is set, else PROJECT-SERVICE-NUMBER.
func (p *Project) ContainerName(service string, number int) string {
	if name := p.Services[service].ContainerName; name != "" {
		return name
	}
	sep := p.separator()
	return p.Name + sep + service + sep + strconv.Itoa(number)
}

// ImageName returns the image of a service as the file writes it, or
// PROJECT-SERVICE for one that is only built.
func (p *Project) ImageName(service string) string {
	if image := p.Services[service].Image; image != "" {
		return image
	}
	return p.Name + p.separator() + service
}

func (p *Project) separator() string {
	if p.Compatibility {
		return "_"
	}
	return "-"
}

// NetworkName returns the full name of the network under key: its name where
// it has one, else PROJECT_KEY.
func (p *Project) NetworkName(key string) string {
	if n := p.Networks[key]; n.Name != "" {
		return n.Name
	} else if bool(n.External) {
		return key
	}
	return fmt.Sprintf("%s_%s", p.Name, key)
}

// VolumeName returns the full name of the volume under key: its name where it
// has one, else PROJECT_KEY.
func (p *Project) VolumeName(key string) string {
	if v := p.Volumes[key]; v.Name != "" {
		return v.Name
	} else if bool(v.External) {
		return key
	}
	return fmt.Sprintf("%s_%s", p.Name, key)
}

// Replicas returns how many containers service wants.
func (p *Project) Replicas(service string) int {
	s := p.Services[service]
	return s.GetScale()
}
