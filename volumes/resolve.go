package volumes

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/compose-first/compose/project"
)

// Types of a mount.
const (
	TypeVolume = types.VolumeTypeVolume
	TypeBind   = types.VolumeTypeBind
	TypeTmpfs  = types.VolumeTypeTmpfs
	TypeImage  = types.VolumeTypeImage
)

// Want is one mount that a container is to get.
//
// Info is as it will be recorded, but for the Name of a new anonymous volume,
// which Prepare chooses. For TypeImage Info.Source is the image's reference.
// Info.Options has, for a tmpfs, its mount options; else words of which each
// is there at most once: ro, nocopy, create (a missing bind source is made, as
// a folder), a propagation mode, subpath=DIR, recursive=MODE, z or Z (SELinux labels).
type Want struct {
	Info   project.MountInfo
	Key    string // where it comes from, "services.web.volumes[0]"
	Volume Volume // TypeVolume: what to create when it is not there
}

// Resolve returns the mounts of a container of service, outer targets first.
// It looks at nothing but its arguments:
// imageVolumes are the paths that the image declares as volumes; inherit are
// the mounts of the container that this one takes the place of, whose
// anonymous volumes are kept; from has the mounts of the containers that
// volumes_from names, as From returns the names. A name that from does not
// have is an error, but for a nil from, which leaves volumes_from out.
//
// A service's own volumes and tmpfs win over volumes_from, those over the
// image's volumes. Errors name service and key.
func Resolve(p *project.Project, service string, imageVolumes []string, inherit []project.MountInfo, from map[string][]project.MountInfo) ([]Want, error) {
	s, ok := p.Services[service]
	if !ok {
		return nil, fmt.Errorf("services.%s: no such service", service)
	}
	all := map[string]Want{}
	for _, w := range fromImage(p, service, imageVolumes) {
		all[w.Info.Target] = w
	}
	shared, err := fromOthers(p, s, from)
	if err != nil {
		return nil, err
	}
	for _, w := range shared {
		all[w.Info.Target] = w
	}
	own, err := ownMounts(p, s)
	if err != nil {
		return nil, err
	}
	for _, w := range own {
		all[w.Info.Target] = w
	}
	keepAnonymous(all, inherit)
	wants := slices.Collect(maps.Values(all))
	slices.SortFunc(wants, func(a, b Want) int { return outerFirst(a.Info.Target, b.Info.Target) })
	return wants, nil
}

// From returns what volumes_from of service names: services, and
// "container:NAME" for containers, each once.
func From(p *project.Project, service string) []string {
	var names []string
	for _, entry := range p.Services[service].VolumesFrom {
		name, _, err := parseFrom(entry)
		if err == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Order joins mounts to one list, outer targets first: a container's mounts
// and its secrets and configs may lie below each other.
func Order(lists ...[]Mount) []Mount {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(a, b Mount) int { return outerFirst(a.Target, b.Target) })
	return all
}

// outerFirst orders targets so that each comes after those it lies below.
func outerFirst(a, b string) int {
	if d := depth(a) - depth(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

func depth(target string) int { return strings.Count(path.Clean(target), "/") }

// fromImage returns an anonymous volume for each path that the image declares.
func fromImage(p *project.Project, service string, imageVolumes []string) []Want {
	var wants []Want
	for _, v := range imageVolumes {
		target := path.Join("/", v)
		if target == "/" {
			continue
		}
		wants = append(wants, Want{
			Info:   project.MountInfo{Type: TypeVolume, Target: target, Anonymous: true},
			Key:    fmt.Sprintf("services.%s.image: VOLUME %s", service, target),
			Volume: anonymous(p.Name),
		})
	}
	return wants
}

func anonymous(project string) Volume {
	return Volume{Project: project, Driver: DriverLocal, Anonymous: true}
}

// fromOthers returns the mounts that volumes_from brings, those of a later
// entry winning over an earlier one's. A tmpfs is a container's own and stays.
func fromOthers(p *project.Project, s types.ServiceConfig, from map[string][]project.MountInfo) ([]Want, error) {
	var wants []Want
	for i, entry := range s.VolumesFrom {
		key := fmt.Sprintf("services.%s.volumes_from[%d]", s.Name, i)
		name, readOnly, err := parseFrom(entry)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		mounts, ok := from[name]
		if !ok && from != nil {
			return nil, fmt.Errorf("%s: no container of %s is there", key, name)
		}
		for _, m := range mounts {
			if m.Type == TypeTmpfs {
				continue
			}
			m.Options = slices.Clone(m.Options)
			if readOnly && !slices.Contains(m.Options, wordReadOnly) {
				m.Options = append(m.Options, wordReadOnly)
			}
			wants = append(wants, Want{Info: m, Key: key, Volume: known(p, m)})
		}
	}
	return wants, nil
}

// parseFrom splits an entry of volumes_from: SERVICE or container:NAME, and
// :ro or :rw.
func parseFrom(entry string) (name string, readOnly bool, err error) {
	rest, isContainer := strings.CutPrefix(entry, "container:")
	name, access, ok := strings.Cut(rest, ":")
	if name == "" {
		return "", false, fmt.Errorf("%q names no container", entry)
	}
	if ok && access != wordReadOnly && access != "rw" {
		return "", false, fmt.Errorf("%q: access is ro or rw, not %q", entry, access)
	}
	if isContainer {
		name = "container:" + name
	}
	return name, access == wordReadOnly, nil
}

// known returns what to create for a volume that another container has,
// should it be gone.
func known(p *project.Project, m project.MountInfo) Volume {
	if m.Type != TypeVolume {
		return Volume{}
	}
	if m.Anonymous {
		v := anonymous(p.Name)
		v.Name = m.Name
		return v
	}
	return Volume{Name: m.Name, External: true}
}

// ownMounts returns the mounts of the service's own keys: volumes and tmpfs.
func ownMounts(p *project.Project, s types.ServiceConfig) ([]Want, error) {
	var (
		wants []Want
		at    = map[string]string{} // key by target
	)
	add := func(key string, w Want, err error) error {
		if err == nil {
			w.Key = key
			w.Info.Target, err = cleanTarget(w.Info.Target)
		}
		if err == nil && at[w.Info.Target] != "" {
			err = fmt.Errorf("target %s is already that of %s", w.Info.Target, at[w.Info.Target])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		at[w.Info.Target] = key
		wants = append(wants, w)
		return nil
	}
	for i, v := range s.Volumes {
		w, err := ownMount(p, v)
		if err := add(fmt.Sprintf("services.%s.volumes[%d]", s.Name, i), w, err); err != nil {
			return nil, err
		}
	}
	for i, t := range s.Tmpfs {
		w, err := shortTmpfs(t)
		if err := add(fmt.Sprintf("services.%s.tmpfs[%d]", s.Name, i), w, err); err != nil {
			return nil, err
		}
	}
	return wants, nil
}

// cleanTarget checks and cleans a path in a container.
func cleanTarget(target string) (string, error) {
	switch clean := path.Clean(target); {
	case target == "":
		return "", errors.New("target is missing")
	case strings.ContainsFunc(target, isControl):
		return "", fmt.Errorf("target %q has a control character", target)
	case !path.IsAbs(target):
		return "", fmt.Errorf("target %q is not an absolute path", target)
	case clean == "/":
		return "", errors.New("target cannot be /")
	default:
		return clean, nil
	}
}

// ownMount returns the mount of one entry of a service's volumes.
func ownMount(p *project.Project, v types.ServiceVolumeConfig) (Want, error) {
	switch v.Type {
	case TypeVolume:
		return volumeMount(p, v)
	case TypeBind:
		return bindMount(p, v)
	case TypeTmpfs:
		return longTmpfs(v)
	case TypeImage:
		return imageMount(p, v)
	default:
		return Want{}, fmt.Errorf("type %q cannot be mounted on this platform", v.Type)
	}
}

func volumeMount(p *project.Project, v types.ServiceVolumeConfig) (Want, error) {
	block := types.ServiceVolumeVolume{}
	if v.Volume != nil {
		block = *v.Volume
	}
	words := accessWords(v)
	if block.NoCopy {
		words = append(words, wordNoCopy)
	}
	words, err := withSubpath(words, block.Subpath)
	if err != nil {
		return Want{}, err
	}
	if v.Bind != nil { // of the short form, "data:/data:Z"
		if words, err = withSELinux(words, v.Bind.SELinux); err != nil {
			return Want{}, err
		}
	}
	info := project.MountInfo{Type: TypeVolume, Target: v.Target, Options: words}
	if v.Source == "" {
		info.Anonymous = true
		volume := anonymous(p.Name)
		volume.Labels = block.Labels
		return Want{Info: info, Volume: volume}, nil
	}
	def, ok := p.Volumes[v.Source]
	if !ok {
		return Want{}, fmt.Errorf("volume %q is not defined in volumes", v.Source)
	}
	volume, err := Define(p.Name, v.Source, def)
	if err != nil {
		return Want{}, err
	}
	volume.ConfigHash = p.VolumeHash(v.Source)
	info.Name = volume.Name
	return Want{Info: info, Volume: volume}, nil
}

func bindMount(p *project.Project, v types.ServiceVolumeConfig) (Want, error) {
	if v.Source == "" {
		return Want{}, errors.New("a bind needs a source")
	}
	source, err := hostPath(p, v.Source)
	if err != nil {
		return Want{}, err
	}
	block := types.ServiceVolumeBind{CreateHostPath: true}
	if v.Bind != nil {
		block = *v.Bind
	}
	words := accessWords(v)
	if block.CreateHostPath {
		words = append(words, wordCreate)
	}
	if block.Propagation != "" {
		if !slices.Contains(propagations, block.Propagation) {
			return Want{}, fmt.Errorf("bind.propagation: unknown mode %q: there are %s", block.Propagation, strings.Join(propagations, ", "))
		}
		words = append(words, block.Propagation)
	}
	if block.Recursive != "" && block.Recursive != recursiveEnabled {
		if !slices.Contains(recursives, block.Recursive) {
			return Want{}, fmt.Errorf("bind.recursive: unknown mode %q: there are %s", block.Recursive, strings.Join(recursives, ", "))
		}
		words = append(words, prefixRecursive+block.Recursive)
	}
	if words, err = withSELinux(words, block.SELinux); err != nil {
		return Want{}, err
	}
	return Want{Info: project.MountInfo{Type: TypeBind, Source: source, Target: v.Target, Options: words}}, nil
}

// hostPath makes a path of the file absolute, where its loading has not done
// so already.
func hostPath(p *project.Project, source string) (string, error) {
	if strings.ContainsFunc(source, isControl) {
		return "", fmt.Errorf("source %q has a control character", source)
	}
	if rest, ok := strings.CutPrefix(source, "~"); ok && (rest == "" || rest[0] == '/') {
		home := p.Environment["HOME"]
		if home == "" {
			var err error
			if home, err = os.UserHomeDir(); err != nil {
				return "", fmt.Errorf("source %q: %w", source, err)
			}
		}
		return filepath.Join(home, rest), nil
	}
	if !filepath.IsAbs(source) {
		return filepath.Join(p.WorkingDir, source), nil
	}
	return filepath.Clean(source), nil
}

func imageMount(p *project.Project, v types.ServiceVolumeConfig) (Want, error) {
	if v.Source == "" {
		return Want{}, errors.New("an image mount needs a source")
	}
	source := v.Source
	if _, ok := p.Services[source]; ok {
		source = p.ImageName(source)
	}
	words := []string{wordReadOnly}
	var err error
	if v.Image != nil {
		words, err = withSubpath(words, v.Image.SubPath)
	}
	return Want{Info: project.MountInfo{Type: TypeImage, Source: source, Target: v.Target, Options: words}}, err
}

// keepAnonymous gives the anonymous volumes among wants the names that they
// have in the container that is replaced.
func keepAnonymous(wants map[string]Want, inherit []project.MountInfo) {
	for _, m := range inherit {
		w, ok := wants[m.Target]
		if !ok || m.Type != TypeVolume || !m.Anonymous || !w.Info.Anonymous || w.Info.Name != "" {
			continue
		}
		w.Info.Name = m.Name
		w.Volume.Name = m.Name
		wants[m.Target] = w
	}
}
