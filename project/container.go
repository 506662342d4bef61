package project

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
)

// Defaults of a service's life.
// Sources: Compose Specification, 05-services.md, stop_grace_period;
// healthcheck as Docker Engine fills it in.
const (
	defaultStopGrace     = 10 * time.Second
	defaultInterval      = 30 * time.Second
	defaultTimeout       = 30 * time.Second
	defaultRetries       = 3
	defaultStartInterval = 5 * time.Second
)

// Record returns what the files alone say of a service's container:
//   - Networks have no addresses but the fixed ones, without a prefix length
//     (that of a single address), and NetworkMode, PIDMode and IPCMode may be
//     "service:NAME" or "container:NAME", for the caller to resolve;
//   - Health is nil where the file sets no test: see Project.Health;
//   - Command, Mounts, and what an image adds to Expose and Hostname, are left
//     to the caller.
func (p *Project) Record(service string, number int) (Record, error) {
	s, ok := p.Services[service]
	if !ok {
		return Record{}, noService(service)
	}
	r := Record{
		Project: p.Name, Service: service, Number: number,
		NetworkMode: s.NetworkMode,
		DNS:         DNS{Servers: []string(s.DNS), Search: []string(s.DNSSearch), Options: s.DNSOpts},
		Hostname:    s.Hostname, Domainname: s.DomainName,
		ExtraHosts: extraHosts(s.ExtraHosts),
		Links:      links(s.Links),
		PIDMode:    s.Pid,
		Health:     p.Health(service, nil),
		DependsOn:  p.graph.needs[service],
		StopSignal: s.StopSignal, StopGrace: defaultStopGrace,
		TTY: s.Tty, Stdin: s.StdinOpen,
		Image:  p.ImageName(service),
		Attach: s.Attach == nil || *s.Attach,
	}
	if s.Ipc == "host" || s.Ipc == "none" || shares(s.Ipc) {
		r.IPCMode = s.Ipc
	}
	if s.StopGracePeriod != nil {
		r.StopGrace = time.Duration(*s.StopGracePeriod)
	}
	var err error
	if r.Restart, err = parseRestart(s.Restart); err != nil {
		return Record{}, fmt.Errorf("service %q: restart: %w", service, err)
	}
	if r.Log, err = parseLog(s.Logging); err != nil {
		return Record{}, fmt.Errorf("service %q: logging: %w", service, err)
	}
	if r.Networks, err = p.attachments(s); err != nil {
		return Record{}, fmt.Errorf("service %q: networks: %w", service, err)
	}
	for i, c := range s.Ports {
		port, err := parsePort(c)
		if err != nil {
			return Record{}, fmt.Errorf("service %q: ports[%d]: %w", service, i, err)
		}
		r.Ports = append(r.Ports, port)
	}
	for i, text := range s.Expose {
		ports, err := parseExpose(text)
		if err != nil {
			return Record{}, fmt.Errorf("service %q: expose[%d]: %w", service, i, err)
		}
		r.Expose = append(r.Expose, ports...)
	}
	for _, g := range grants(s) {
		f, err := g.file()
		if err != nil {
			return Record{}, fmt.Errorf("service %q: %s %q: %w", service, g.kind, g.source, err)
		}
		f.Source = p.fileObject(g.kind, g.source).File
		f.AsIs = f.Source != "" && g.UID == "" && g.GID == "" && g.Mode == nil
		r.Files = append(r.Files, f)
	}
	return r, nil
}

// attachments returns a service's interfaces, that of the highest priority
// first; ties go by name.
func (p *Project) attachments(s types.ServiceConfig) ([]Attachment, error) {
	if s.NetworkMode != "" {
		return nil, nil
	}
	keys := s.NetworksByPriority()
	gateway := p.gateway(s, keys)
	used := map[string]bool{}
	for _, n := range s.Networks {
		if n != nil {
			used[n.InterfaceName] = true
		}
	}
	var list []Attachment
	free := 0
	for i, key := range keys {
		n := s.Networks[key]
		if n == nil {
			n = &types.ServiceNetworkConfig{}
		}
		a := Attachment{
			Network: p.NetworkName(key), Interface: n.InterfaceName,
			MAC: n.MacAddress, Aliases: n.Aliases, Gateway: key == gateway,
		}
		for a.Interface == "" {
			if name := "eth" + strconv.Itoa(free); !used[name] {
				a.Interface = name
			}
			free++
		}
		if a.MAC == "" && i == 0 {
			a.MAC = s.MacAddress
		}
		var err error
		if a.Address, err = fixedAddress(n.Ipv4Address); err != nil {
			return nil, err
		}
		if a.Address6, err = fixedAddress(n.Ipv6Address); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// gateway returns the network of the default route: the highest gw_priority,
// ties by name; never an internal network.
func (p *Project) gateway(s types.ServiceConfig, keys []string) string {
	best, bestPriority := "", 0
	for _, key := range slices.Sorted(slices.Values(keys)) {
		if p.Networks[key].Internal {
			continue
		}
		priority := 0
		if n := s.Networks[key]; n != nil {
			priority = n.GatewayPriority
		}
		if best == "" || priority > bestPriority {
			best, bestPriority = key, priority
		}
	}
	return best
}

func fixedAddress(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	a, err := parseAddress(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func extraHosts(hosts types.HostsList) []HostEntry {
	var list []HostEntry
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		for _, address := range hosts[name] {
			address = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
			list = append(list, HostEntry{Name: name, Address: address})
		}
	}
	return list
}

func links(texts []string) []Link {
	var list []Link
	for _, text := range texts {
		service, alias, given := strings.Cut(text, ":")
		if !given {
			alias = service
		}
		list = append(list, Link{Service: service, Alias: alias})
	}
	return list
}

// HealthDisabled reports whether the file turns the image's check off.
func (p *Project) HealthDisabled(service string) bool {
	h := p.Services[service].HealthCheck
	return h != nil && (h.Disable || len(h.Test) > 0 && h.Test[0] == "NONE")
}

// Health returns the check of a service's containers: the file's over the
// image's (nil without one; zero fields are unset) over the defaults. It is
// nil where no test is set, or the file turns checks off.
func (p *Project) Health(service string, image *Health) *Health {
	if p.HealthDisabled(service) {
		return nil
	}
	var h Health
	if image != nil {
		h = *image
	}
	if f := p.Services[service].HealthCheck; f != nil {
		if len(f.Test) > 0 {
			h.Test = f.Test
		}
		for _, d := range []struct {
			from *types.Duration
			to   *time.Duration
		}{{f.Interval, &h.Interval}, {f.Timeout, &h.Timeout}, {f.StartPeriod, &h.StartPeriod}, {f.StartInterval, &h.StartInterval}} {
			if d.from != nil {
				*d.to = time.Duration(*d.from)
			}
		}
		if f.Retries != nil {
			h.Retries = int(min(*f.Retries, 1<<30))
		}
	}
	if len(h.Test) == 0 || h.Test[0] == "NONE" {
		return nil
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&h.Interval, defaultInterval}, {&h.Timeout, defaultTimeout}, {&h.StartInterval, defaultStartInterval}} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if h.Retries == 0 {
		h.Retries = defaultRetries
	}
	return &h
}

// Rotation of the driver "local".
// Source: Docker Engine, local logging driver: max-size 20m, max-file 5.
const (
	localMaxSize = 20_000_000
	localMaxFile = 5
)

// logOptions are the options that Docker's file drivers know.
var logOptions = []string{
	"max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size",
}

// parseLog reads how output is kept. Sizes are decimal, "10m" is 10,000,000
// bytes, as Docker Engine reads them.
func parseLog(c *types.LoggingConfig) (Log, error) {
	log := Log{Driver: "json-file"}
	if c == nil {
		return log, nil
	}
	switch c.Driver {
	case "", "json-file":
	case "local":
		log = Log{Driver: "local", MaxSize: localMaxSize, MaxFile: localMaxFile}
	case "none":
		return Log{Driver: "none"}, nil
	case "syslog", "fluentd", "journald":
		return Log{}, fmt.Errorf("driver %q is not supported yet", c.Driver)
	default:
		return Log{}, fmt.Errorf("unknown driver %q", c.Driver)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Options)) {
		value := c.Options[name]
		switch name {
		case "max-size":
			if value == "" || value == "-1" {
				log.MaxSize = 0
				continue
			}
			size, err := units.FromHumanSize(value)
			if err != nil || size <= 0 {
				return Log{}, fmt.Errorf("invalid max-size %q", value)
			}
			log.MaxSize = size
		case "max-file":
			n, err := strconv.ParseUint(value, 10, 16)
			if err != nil || n == 0 {
				return Log{}, fmt.Errorf("invalid max-file %q", value)
			}
			log.MaxFile = int(n)
		default:
			if !slices.Contains(logOptions, name) {
				return Log{}, fmt.Errorf("driver %q has no option %q", log.Driver, name)
			}
		}
	}
	return log, nil
}

// ContainerLabels returns the labels of a service's containers: the user's,
// and Docker Compose's but for those that depend on the single container or
// its image (LabelNumber, LabelOneOff, LabelImage, LabelReplace, LabelSlug).
func (p *Project) ContainerLabels(service string) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, p.Services[service].Labels)
	var deps []string
	for _, d := range p.graph.needs[service] {
		deps = append(deps, d.Service+":"+d.Condition+":"+strconv.FormatBool(d.Restart))
	}
	labels[LabelProject] = p.Name
	labels[LabelService] = service
	labels[LabelConfigHash] = p.Hashes[service]
	labels[LabelDependsOn] = strings.Join(deps, ",")
	labels[LabelWorkingDir] = p.WorkingDir
	labels[LabelConfigFiles] = strings.Join(p.ComposeFiles, ",")
	labels[LabelVersion] = Version
	if len(p.EnvFiles) > 0 {
		labels[LabelEnvironmentFile] = strings.Join(p.EnvFiles, ",")
	}
	return labels
}

// cleanTarget is the form in which mount targets are compared.
func cleanTarget(target string) string { return path.Clean("/" + target) }
