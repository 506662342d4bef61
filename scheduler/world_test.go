package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-first/compose/project"
)

// load loads a project named shop from the text of its file.
func load(t testing.TB, file string) *project.Project {
	t.Helper()
	p, err := project.Load(t.Context(), project.Options{
		Files: []string{"-"}, Stdin: strings.NewReader(file), Name: "shop", WorkingDir: t.TempDir(),
	})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return p
}

// world is a machine in memory. As a Host it refuses what a real one could not
// do, and what must never be asked of it.
type world struct {
	mu         sync.Mutex
	p          *project.Project
	digests    map[string]string // of images, by service
	containers []Container
	networks   map[string]Network
	volumes    map[string]Volume
	serial     int
	log        []string
	faults     []string // orders that break a rule
	acts       int
	limit      int // acts until the lights go out; 0: never
}

var errLightsOut = errors.New("lights out")

func newWorld(p *project.Project) *world {
	w := &world{p: p, digests: map[string]string{}, networks: map[string]Network{}, volumes: map[string]Volume{}}
	for name := range p.Services {
		w.digests[name] = "now"
	}
	return w
}

// populate adds containers, one a line: "web-1 running old health=healthy".
// The networks and volumes of the file are there unless a line takes one away:
// "no network shop_default". Words after the state:
//
//	old          its configuration is another one
//	image=D      digest of its image
//	id=X         instead of a number
//	exit=N       exit code
//	health=H     health
//	replaces=X   id of the container that it took the place of
//	shares=X     id of a container whose namespace it uses
//	anon=V       an anonymous volume at /V
//	on=N,N       networks, instead of those of the file; "-" for none
//	subnet=S     of its first network
//	mounts=V,V   volumes, instead of those of the file
//	oneoff       a one-off, named as the line begins
//	needs=S:C    what it depends on, by its own record
func (w *world) populate(t testing.TB, text string) {
	t.Helper()
	if strings.TrimSpace(text) == "" {
		return
	}
	for key, n := range w.p.Networks {
		name := w.p.NetworkName(key)
		w.networks[name] = Network{Name: name, Project: ownerOf(bool(n.External)), ConfigHash: "new", Subnets: []netip.Prefix{w.subnet()}}
	}
	for key, v := range w.p.Volumes {
		name := w.p.VolumeName(key)
		w.volumes[name] = Volume{Name: name, Project: ownerOf(bool(v.External)), ConfigHash: "new"}
	}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			w.populateLine(t, words)
		}
	}
}

func ownerOf(external bool) string {
	if external {
		return ""
	}
	return "shop"
}

func (w *world) populateLine(t testing.TB, words []string) {
	t.Helper()
	switch words[0] + " " + words[1] {
	case "no network":
		delete(w.networks, words[2])
		return
	case "no volume":
		delete(w.volumes, words[2])
		return
	case "displaced network":
		n := w.networks[words[2]]
		n.Displaced = true
		w.networks[words[2]] = n
		return
	case "changed network", "foreign network", "extra network":
		n := w.networks[words[2]]
		n.Name = words[2]
		n.ConfigHash, n.Project = "old", "shop"
		if words[0] == "foreign" {
			n.Project = "other"
		}
		w.networks[words[2]] = n
		return
	case "changed volume", "foreign volume", "extra volume", "anonymous volume":
		v := w.volumes[words[2]]
		v.Name, v.Anonymous = words[2], words[0] == "anonymous"
		v.ConfigHash, v.Project = "old", "shop"
		if words[0] == "foreign" {
			v.Project = "other"
		}
		w.volumes[words[2]] = v
		return
	}
	cut := strings.LastIndexByte(words[0], '-')
	if run := strings.Index(words[0], "-run-"); run > 0 {
		cut = run
	}
	service := words[0][:cut]
	number, _ := strconv.Atoi(words[0][cut+1:])
	c := w.makeContainer(service, number, "shop-"+words[0])
	c.State = words[1]
	for _, word := range words[2:] {
		w.set(t, &c, word)
	}
	w.containers = append(w.containers, c)
}

func (w *world) set(t testing.TB, c *Container, word string) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "old":
		c.ConfigHash = "old"
	case "image":
		c.ImageDigest = value
	case "id":
		c.ID = value
	case "exit":
		c.ExitCode, _ = strconv.Atoi(value)
	case "health":
		c.Health = value
	case "replaces":
		c.Replaces = value
	case "shares":
		c.Shares = []string{value}
	case "anon":
		c.Mounts = append(c.Mounts, project.MountInfo{Type: "volume", Name: value, Target: "/" + value, Anonymous: true})
	case "on":
		c.Networks = nil
		for name := range strings.SplitSeq(value, ",") {
			if name != "-" {
				c.Networks = append(c.Networks, project.Attachment{Network: name, Address: w.address(name)})
			}
		}
	case "subnet":
		c.Networks[0].Address = netip.MustParsePrefix(value)
	case "mounts":
		c.Mounts = nil
		for name := range strings.SplitSeq(value, ",") {
			if name != "-" {
				c.Mounts = append(c.Mounts, project.MountInfo{Type: "volume", Name: name, Target: "/" + name})
			}
		}
	case "oneoff":
		c.OneOff, c.Number = true, 0
	case "needs":
		service, condition, _ := strings.Cut(value, ":")
		c.DependsOn = append(c.DependsOn, project.Dependency{Service: service, Condition: condition, Required: true})
	default:
		t.Fatalf("no such word: %s", word)
	}
}

func (w *world) subnet() netip.Prefix {
	w.serial++
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(w.serial >> 8), byte(w.serial), 0}), 24)
}

func (w *world) address(network string) netip.Prefix {
	n := w.networks[network]
	if len(n.Subnets) == 0 {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(n.Subnets[0].Addr().Next().Next(), 24)
}

// makeContainer makes a container as the file says.
func (w *world) makeContainer(service string, number int, name string) Container {
	w.serial++
	c := Container{
		ID: strconv.Itoa(w.serial), Name: name, Service: service, Number: number, State: StateCreated,
		Created: time.Unix(int64(w.serial), 0), ConfigHash: w.p.Hashes[service], ImageDigest: w.digests[service],
		Image: w.p.ImageName(service), DependsOn: w.p.Dependencies(service),
	}
	s, ok := w.p.Services[service]
	if !ok {
		s = w.p.DisabledServices[service]
	}
	for key := range s.Networks {
		full := w.p.NetworkName(key)
		c.Networks = append(c.Networks, project.Attachment{Network: full, Address: w.address(full)})
	}
	for _, v := range s.Volumes {
		if v.Type == "volume" && v.Source != "" {
			c.Mounts = append(c.Mounts, project.MountInfo{Type: "volume", Name: w.p.VolumeName(v.Source), Target: v.Target})
		}
	}
	return c
}

// live is what one look at the world shows.
func (w *world) live() Live {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := Live{
		Project: "shop", Containers: slices.Clone(w.containers),
		Networks: map[string]Network{}, Volumes: map[string]Volume{},
		Images: map[string]string{}, NetworkHashes: map[string]string{}, VolumeHashes: map[string]string{},
	}
	slices.SortStableFunc(l.Containers, func(a, b Container) int { return strings.Compare(a.Name, b.Name) })
	for k, v := range w.networks {
		l.Networks[k] = v
	}
	for k, v := range w.volumes {
		l.Volumes[k] = v
	}
	for k, v := range w.digests {
		l.Images[k] = v
	}
	for key, n := range w.p.Networks {
		l.NetworkHashes[key] = "new" + n.Driver
	}
	for key, v := range w.p.Volumes {
		l.VolumeHashes[key] = "new" + v.Driver
	}
	return l
}

// act does one thing to the world, unless the lights are out.
func (w *world) act(ctx context.Context, what string, do func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.limit > 0 && w.acts >= w.limit {
		return errLightsOut
	}
	w.acts++
	w.log = append(w.log, what)
	return do()
}

func (w *world) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// find returns the container that r means.
func (w *world) find(r Ref) (*Container, error) {
	for i := len(w.containers) - 1; i >= 0; i-- { // the youngest of a name
		c := &w.containers[i]
		if r.ID == c.ID || r.ID == "" && r.Name == c.Name {
			return c, nil
		}
	}
	return nil, fmt.Errorf("container %s: %w", r.Name, ErrNotFound)
}

func (w *world) on(network string, running bool) []string {
	var names []string
	for i := range w.containers {
		if c := &w.containers[i]; c.on(network) && (c.running() || !running) {
			names = append(names, c.Name)
		}
	}
	return names
}

func (w *world) CreateNetwork(ctx context.Context, key string) error {
	return w.act(ctx, "create network "+key, func() error {
		name := w.p.NetworkName(key)
		w.networks[name] = Network{Name: name, Project: "shop", ConfigHash: "new" + w.p.Networks[key].Driver, Subnets: []netip.Prefix{w.subnet()}}
		return nil
	})
}

func (w *world) ReplaceNetwork(ctx context.Context, key string) error {
	name := w.p.NetworkName(key)
	w.mu.Lock()
	if busy := w.on(name, true); len(busy) > 0 {
		w.fault("replace network %s under %v", name, busy)
	}
	w.mu.Unlock()
	return w.CreateNetwork(ctx, key)
}

func (w *world) RemoveNetwork(ctx context.Context, name string) error {
	return w.act(ctx, "remove network "+name, func() error {
		if len(w.on(name, false)) > 0 {
			return ErrInUse
		}
		delete(w.networks, name)
		return nil
	})
}

func (w *world) CreateVolume(ctx context.Context, key string) error {
	return w.act(ctx, "create volume "+key, func() error {
		name := w.p.VolumeName(key)
		w.volumes[name] = Volume{Name: name, Project: "shop", ConfigHash: "new" + w.p.Volumes[key].Driver}
		return nil
	})
}

func (w *world) ReplaceVolume(ctx context.Context, key string) error {
	name := w.p.VolumeName(key)
	w.mu.Lock()
	for i := range w.containers {
		if c := &w.containers[i]; mounts(c, name) && c.running() {
			w.fault("replace volume %s under %s", name, c.Name)
		}
	}
	w.mu.Unlock()
	return w.CreateVolume(ctx, key)
}

func (w *world) RemoveVolume(ctx context.Context, name string) error {
	return w.act(ctx, "remove volume "+name, func() error {
		for i := range w.containers {
			if mounts(&w.containers[i], name) {
				return ErrInUse
			}
		}
		delete(w.volumes, name)
		return nil
	})
}

func (w *world) PullImage(ctx context.Context, ref, _ string, services []string) error {
	return w.act(ctx, "pull "+ref+" for "+strings.Join(services, ","), func() error {
		if strings.HasPrefix(ref, "absent") {
			return fmt.Errorf("image %s: %w", ref, ErrNotFound)
		}
		return nil
	})
}

func (w *world) BuildImages(ctx context.Context, services []string) error {
	return w.act(ctx, "build "+strings.Join(services, ","), func() error { return nil })
}

func (w *world) RemoveImage(ctx context.Context, ref string) error {
	return w.act(ctx, "remove image "+ref, func() error { return nil })
}

func (w *world) CreateContainer(ctx context.Context, c Create) error {
	return w.act(ctx, "create "+c.Name, func() error {
		made := w.makeContainer(c.Service, c.Number, c.Name)
		made.Replaces = c.Replaces
		w.checkCreate(c, &made)
		made.Mounts = append(made.Mounts, c.Inherit...)
		s := w.p.Services[c.Service]
		for _, v := range s.Volumes {
			if v.Type == "volume" && v.Source == "" && !slices.ContainsFunc(c.Inherit, func(m project.MountInfo) bool { return m.Target == v.Target }) {
				made.Mounts = append(made.Mounts, project.MountInfo{
					Type: "volume", Name: "anon" + made.ID, Target: v.Target, Anonymous: true})
			}
		}
		if owner, ok := strings.CutPrefix(s.NetworkMode, "service:"); ok {
			o, err := w.find(c.Owners[owner])
			if err != nil {
				return err
			}
			made.Shares = append(made.Shares, o.ID)
		}
		for _, from := range s.VolumesFrom {
			owner, err := w.find(c.Owners[from])
			if err != nil {
				return err
			}
			made.Mounts = append(made.Mounts, owner.Mounts...)
		}
		w.containers = append(w.containers, made)
		return nil
	})
}

func (w *world) checkCreate(c Create, made *Container) {
	if _, err := w.find(Ref{ID: c.Replaces}); c.Replaces != "" && err != nil {
		w.fault("create %s: the one to replace is gone", c.Name)
	}
	for _, a := range made.Networks {
		if _, ok := w.networks[a.Network]; !ok {
			w.fault("create %s: no network %s", c.Name, a.Network)
		}
	}
	for _, m := range made.Mounts {
		if _, ok := w.volumes[m.Name]; !ok {
			w.fault("create %s: no volume %s", c.Name, m.Name)
		}
	}
}

func (w *world) StartContainer(ctx context.Context, r Ref) error {
	return w.act(ctx, "start "+r.Name, func() error {
		c, err := w.find(r)
		if err != nil {
			return err
		}
		for i := range w.containers {
			if o := &w.containers[i]; o.Name == c.Name && o.ID != c.ID && o.running() {
				w.fault("start %s beside another of its name", c.Name)
			}
		}
		for _, d := range w.p.Dependencies(c.Service) {
			w.checkCondition(c, d)
		}
		c.State = StateRunning
		if s := w.p.Services[c.Service]; s.HealthCheck != nil {
			c.Health = "starting"
		}
		return nil
	})
}

func (w *world) checkCondition(c *Container, d project.Dependency) {
	for i := range w.containers {
		o := &w.containers[i]
		if o.Service != d.Service || o.OneOff || !d.Required {
			continue
		}
		replaced := slices.ContainsFunc(w.containers, func(x Container) bool { return x.Replaces == o.ID })
		met := d.Condition == project.ConditionStarted && o.running() ||
			d.Condition == project.ConditionStarted && o.State == StateExited ||
			d.Condition == project.ConditionHealthy && o.Health == HealthHealthy ||
			d.Condition == project.ConditionCompleted && o.State == StateExited && o.ExitCode == 0
		if !met && !replaced {
			w.fault("start %s before %s is %s", c.Name, o.Name, d.Condition)
		}
	}
}

func (w *world) StopContainer(ctx context.Context, r Ref, _ *time.Duration) error {
	return w.act(ctx, "stop "+r.Name, func() error { return w.end(r) })
}

func (w *world) end(r Ref) error {
	c, err := w.find(r)
	if err != nil {
		return err
	}
	c.Health = ""
	if c.running() {
		c.State = StateExited
	}
	return nil
}

func (w *world) KillContainer(ctx context.Context, r Ref, signal string) error {
	return w.act(ctx, "kill "+r.Name+" "+signal, func() error { return w.end(r) })
}

func (w *world) RemoveContainer(ctx context.Context, r Ref, volumes bool) error {
	what := "remove " + r.Name
	if volumes {
		what += " with volumes"
	}
	return w.act(ctx, what, func() error {
		c, err := w.find(r)
		if err != nil {
			return err
		}
		if c.running() {
			w.fault("remove %s while it runs", c.Name)
		}
		id := c.ID
		w.containers = slices.DeleteFunc(w.containers, func(c Container) bool { return c.ID == id })
		return nil
	})
}

func (w *world) AwaitHealthy(ctx context.Context, r Ref) error {
	return w.act(ctx, "await healthy "+r.Name, func() error {
		c, err := w.find(r)
		if err == nil {
			c.Health = HealthHealthy
		}
		return err
	})
}

func (w *world) AwaitCompleted(ctx context.Context, r Ref) error {
	return w.act(ctx, "await completed "+r.Name, func() error {
		c, err := w.find(r)
		if err == nil {
			c.State, c.ExitCode = StateExited, 0
		}
		return err
	})
}

func (w *world) AwaitReady(ctx context.Context, r Ref) error {
	return w.act(ctx, "await ready "+r.Name, func() error { return nil })
}
