package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// Live looks once at what there is of a project: its containers, all networks
// and volumes, and, where p is not nil, the images and definitions that its
// services want now. The containers are returned as the engine has them, too.
func (m *Machine) Live(ctx context.Context, name string, p *project.Project) (scheduler.Live, []engine.Container, error) {
	containers, err := m.Engine.Observe(ctx, name)
	if err != nil {
		return scheduler.Live{}, nil, fmt.Errorf("list containers: %w", err)
	}
	live := scheduler.Live{Project: name}
	for _, c := range containers {
		live.Containers = append(live.Containers, planned(c))
	}
	if live.Networks, err = m.liveNetworks(name); err != nil {
		return scheduler.Live{}, nil, err
	}
	if live.Volumes, err = m.liveVolumes(); err != nil {
		return scheduler.Live{}, nil, err
	}
	if p != nil {
		live.NetworkHashes, live.VolumeHashes = hashes(p)
		if live.Images, err = m.digests(ctx, p); err != nil {
			return scheduler.Live{}, nil, err
		}
	}
	return live, containers, nil
}

// planned is a container as planning sees it.
func planned(c engine.Container) scheduler.Container {
	r := c.Record
	s := scheduler.Container{
		ID: c.ID, Name: c.Name,
		Service: c.Labels[project.LabelService], Number: r.Number, OneOff: c.Labels[project.LabelOneOff] == "True",
		State: string(c.State), Health: c.Health, ExitCode: c.ExitCode,
		Created: c.Created, Replaces: c.Labels[project.LabelReplace],
		ConfigHash: c.ConfigHash, ImageDigest: c.ImageDigest, Image: r.Image,
		Networks: r.Networks, Mounts: r.Mounts, DependsOn: r.DependsOn,
	}
	for _, mode := range []string{r.NetworkMode, r.PIDMode, r.IPCMode} {
		if id, ok := strings.CutPrefix(mode, containerMode); ok {
			s.Shares = append(s.Shares, id)
		}
	}
	return s
}

// containerMode is how a Record says "that of another container".
const containerMode = "container:"

// liveNetworks has all networks; whether one is displaced is asked of the
// project's own.
func (m *Machine) liveNetworks(projectName string) (map[string]scheduler.Network, error) {
	list, err := m.networks.List()
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	networks := make(map[string]scheduler.Network, len(list))
	for _, n := range list {
		s := scheduler.Network{Name: n.Name, Project: n.Project, ConfigHash: n.ConfigHash}
		for _, pool := range n.Pools {
			s.Subnets = append(s.Subnets, pool.Subnet)
		}
		if n.Project == projectName {
			if s.Displaced, err = m.net.Displaced(n); err != nil {
				return nil, fmt.Errorf("network %s: %w", n.Name, err)
			}
		}
		networks[n.Name] = s
	}
	return networks, nil
}

func (m *Machine) liveVolumes() (map[string]scheduler.Volume, error) {
	list, err := m.volumes.List()
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	vols := make(map[string]scheduler.Volume, len(list))
	for _, v := range list {
		vols[v.Name] = scheduler.Volume{Name: v.Name, Project: v.Project, ConfigHash: v.ConfigHash, Anonymous: v.Anonymous}
	}
	return vols, nil
}

func hashes(p *project.Project) (networks, vols map[string]string) {
	networks, vols = map[string]string{}, map[string]string{}
	for key := range p.Networks {
		networks[key] = p.NetworkHash(key)
	}
	for key := range p.Volumes {
		vols[key] = p.VolumeHash(key)
	}
	return networks, vols
}

// digests has what the image of each service is now; one that is not there
// has none. An image is asked for once, however many services have it.
func (m *Machine) digests(ctx context.Context, p *project.Project) (map[string]string, error) {
	known := map[wantedImage]string{}
	digests := make(map[string]string, len(p.Services))
	for service, def := range p.Services {
		w := wantedImage{p.ImageName(service), def.Platform}
		digest, ok := known[w]
		if !ok {
			image, err := m.image(ctx, p, service)
			if err != nil && !errors.Is(err, engine.ErrNotFound) {
				return nil, err
			}
			digest = image.Digest
			known[w] = digest
		}
		if digest != "" {
			digests[service] = digest
		}
	}
	return digests, nil
}

// image is the local image of a service; engine.ErrNotFound when it is absent.
func (m *Machine) image(ctx context.Context, p *project.Project, service string) (engine.Image, error) {
	image, err := m.Engine.ResolveImage(ctx, p.ImageName(service), p.Services[service].Platform)
	if err != nil {
		return engine.Image{}, fmt.Errorf("service %q: image %s: %w", service, p.ImageName(service), err)
	}
	return image, nil
}

// Images has the images of p that are present, by the name that
// p.ImageName gives them.
func (m *Machine) Images(ctx context.Context, p *project.Project) (map[string]scheduler.Image, error) {
	present := map[string]scheduler.Image{}
	for service := range p.Services {
		name := p.ImageName(service)
		if _, known := present[name]; known {
			continue
		}
		image, err := m.image(ctx, p, service)
		switch {
		case errors.Is(err, engine.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			present[name] = scheduler.Image{Digest: image.Digest, Pulled: pulledAt(image)}
		}
	}
	return present, nil
}

// pulledLabel is where an image keeps the time of its last pull, RFC 3339.
const pulledLabel = "compose.pulled-at"

func pulledAt(image engine.Image) time.Time {
	t, err := time.Parse(time.RFC3339Nano, image.Labels[pulledLabel])
	if err != nil {
		return time.Time{}
	}
	return t
}
