package volumes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/compose-first/compose/internal/filelabel"
	"github.com/compose-first/compose/project"
)

// Mount is a plain OCI mount.
type Mount struct {
	Type    string
	Source  string
	Target  string
	Options []string
}

// PrepareConfig is what Prepare is to make ready.
type PrepareConfig struct {
	ContainerID string
	Project     string // of anonymous volumes that name none
	Mounts      []Want
	Label       string // SELinux label of the container's own files; "" without SELinux

	// Rootfs mounts the files of the container's image read-only until release
	// is called. It is called at most once, and only when a volume is to be
	// filled from the image.
	Rootfs func(ctx context.Context) (path string, release func() error, err error)

	// Image returns a folder where the files of an image stay mounted
	// read-only as long as the container exists. nil: TypeImage is an error.
	Image func(ctx context.Context, ref string) (path string, err error)
}

// Prepared is a container's mounts, ready.
type Prepared struct {
	Mounts []Mount             // for the runtime, outer first
	Infos  []project.MountInfo // for the container's record, in the same order

	// Propagation is the propagation that the container's root must have for
	// these mounts: "" (the runtime's default), "rslave" or "rshared".
	Propagation string
}

// Prepare makes what is missing of a container's mounts, fills volumes on
// their first use with what the image has there, and returns what to mount.
// For the same ContainerID it may be repeated, with the same result.
// Errors name the key at fault.
func (s *Store) Prepare(ctx context.Context, c PrepareConfig) (_ Prepared, retErr error) {
	if err := checkID(c.ContainerID); err != nil {
		return Prepared{}, err
	}
	rootfs := &lazyRootfs{mount: c.Rootfs}
	defer func() { retErr = errors.Join(retErr, rootfs.close()) }()
	var p Prepared
	for _, w := range c.Mounts {
		info, err := s.prepareOne(ctx, c, w, rootfs)
		if err != nil {
			return Prepared{}, fmt.Errorf("%s: %w", w.Key, err)
		}
		p.Infos = append(p.Infos, info)
		p.Propagation = widest(p.Propagation, info)
	}
	for i, info := range p.Infos { // only now: a subpath may be in what was just filled
		m, err := s.mount(c.ContainerID, i, info)
		if err != nil {
			return Prepared{}, fmt.Errorf("%s: %w", c.Mounts[i].Key, err)
		}
		p.Mounts = append(p.Mounts, m)
	}
	return p, nil
}

// Restore makes sure, before each start of a container, that the sources of
// its recorded mounts are there: volumes with a device are mounted again after
// a reboot, a volume or folder that was deleted by hand is made again. A
// source that may not be made and is gone is an error. They get their SELinux
// labels; label is that of the container's own files, "" without SELinux.
func (s *Store) Restore(ctx context.Context, containerID, label string, mounts []project.MountInfo) error {
	if err := checkID(containerID); err != nil {
		return err
	}
	for i, m := range mounts {
		if err := s.restoreOne(ctx, containerID, label, i, m); err != nil {
			return fmt.Errorf("mount at %s: %w", m.Target, err)
		}
	}
	return nil
}

func (s *Store) prepareOne(ctx context.Context, c PrepareConfig, w Want, rootfs *lazyRootfs) (project.MountInfo, error) {
	info := w.Info
	switch info.Type {
	case TypeVolume:
		return s.prepareVolume(ctx, c, w, rootfs)
	case TypeBind:
		return info, ensureSource(info)
	case TypeImage:
		if c.Image == nil {
			return info, errors.New("images cannot be mounted here")
		}
		path, err := c.Image(ctx, info.Source)
		if err != nil {
			return info, fmt.Errorf("image %s: %w", info.Source, err)
		}
		info.Source = path
	}
	return info, nil
}

func (s *Store) prepareVolume(ctx context.Context, c PrepareConfig, w Want, rootfs *lazyRootfs) (project.MountInfo, error) {
	info, v := w.Info, w.Volume
	if info.Name == "" {
		info.Name = anonymousName(c.ContainerID, info.Target)
	}
	v.Name = info.Name
	if v.Anonymous && v.Project == "" {
		v.Project = c.Project
	}
	v, err := s.ready(ctx, v)
	if err != nil {
		return info, err
	}
	info.Source = s.Path(v.Name)
	if has(info, wordNoCopy) || valueOf(info, prefixSubpath) != "" || rootfs.mount == nil {
		return info, nil
	}
	label, err := labelOf(info, c.Label)
	if err != nil {
		return info, err
	}
	return info, s.fill(ctx, v.Name, info.Target, label, rootfs)
}

// anonymousName returns the name of a container's anonymous volume: as random
// as the container's id, and the same when its creation is repeated.
func anonymousName(containerID, target string) string {
	sum := sha256.Sum256([]byte(containerID + "\x00" + target))
	return hex.EncodeToString(sum[:])
}

// ready makes sure that a volume is there, with its device mounted.
func (s *Store) ready(ctx context.Context, v Volume) (Volume, error) {
	v, err := s.Create(ctx, v)
	if err != nil || len(v.Options) == 0 {
		return v, err
	}
	l, err := s.lock(ctx, v.Name)
	if err != nil {
		return v, err
	}
	defer l.Close()
	return v, s.mountDevice(ctx, v)
}

func (s *Store) restoreOne(ctx context.Context, containerID, label string, i int, m project.MountInfo) error {
	label, err := labelOf(m, label)
	if err != nil {
		return err
	}
	switch m.Type {
	case TypeVolume:
		v := Volume{Name: m.Name, Driver: DriverLocal, Anonymous: m.Anonymous, External: !m.Anonymous}
		if v, err = s.ready(ctx, v); err != nil {
			return err
		}
		if err := s.labelVolume(ctx, v, label); err != nil {
			return err
		}
	case TypeBind:
		if err := ensureSource(m); err != nil {
			return err
		}
		if err := filelabel.Host(ctx, m.Source, label); err != nil {
			return err
		}
	}
	_, err = s.mount(containerID, i, m)
	return err
}

// ensureSource makes sure that the source of a bind is there.
func ensureSource(m project.MountInfo) error {
	_, err := os.Stat(m.Source)
	if errors.Is(err, fs.ErrNotExist) && has(m, wordCreate) {
		if err = os.MkdirAll(m.Source, 0o755); err != nil {
			return fmt.Errorf("create bind source: %w", err)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("bind source %s does not exist", m.Source)
	}
	if err != nil {
		return fmt.Errorf("bind source: %w", err)
	}
	return nil
}

// mount returns how the runtime mounts m, the i-th of a container. A folder
// inside a volume or image is mounted apart first: other containers may write
// there, and must not be able to lead the runtime out of it with a link.
func (s *Store) mount(containerID string, i int, m project.MountInfo) (Mount, error) {
	if m.Type == TypeTmpfs {
		return Mount{Type: "tmpfs", Source: "tmpfs", Target: m.Target, Options: m.Options}, nil
	}
	source := m.Source
	if sub := valueOf(m, prefixSubpath); sub != "" {
		source = filepath.Join(s.root.Subpaths(containerID), strconv.Itoa(i))
		if err := mountSubpath(m.Source, sub, source); err != nil {
			return Mount{}, err
		}
	}
	options, err := bindOptions(m)
	return Mount{Type: "bind", Source: source, Target: m.Target, Options: options}, err
}

func mountSubpath(volume, sub, target string) error {
	f, err := openBeneath(volume, sub)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("subpath %s leads out of the volume", sub)
	}
	if err != nil {
		return fmt.Errorf("subpath: %w", err)
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	if err := unmountBelow(target); err != nil { // of an earlier start
		return err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return mountFolder(f, target)
}

// bindOptions returns the runtime's options of a volume, bind or image.
func bindOptions(m project.MountInfo) ([]string, error) {
	var (
		mode      = propagation(m)
		recursive = valueOf(m, prefixRecursive)
		options   = []string{"rbind", mode}
	)
	if recursive == recursiveDisabled {
		options[0] = "bind"
	}
	if !has(m, wordReadOnly) {
		if recursive == recursiveReadonly {
			return nil, errors.New("bind.recursive: readonly needs read_only")
		}
		return options, nil
	}
	able := recursiveReadOnly()
	private := mode == types.PropagationRPrivate || mode == types.PropagationPrivate
	switch {
	case recursive == recursiveReadonly && !able:
		return nil, errors.New("bind.recursive: readonly needs Linux 5.12 or later")
	case recursive == recursiveReadonly && !private: // later mounts would come in writable
		return nil, fmt.Errorf("bind.recursive: readonly cannot be had with propagation %s", mode)
	case recursive == recursiveDisabled || recursive == recursiveWritable || !able || !private:
		return append(options, "ro"), nil
	default:
		return append(options, "rro"), nil
	}
}

// recursiveReadOnly reports whether the kernel can make a mount and all below
// it read-only.
// Source: mount_setattr(2), since Linux 5.12.
func recursiveReadOnly() bool {
	return !errors.Is(unix.MountSetattr(-1, "", 0, &unix.MountAttr{}), unix.ENOSYS)
}

// widest returns the propagation that the container's root needs for m too.
func widest(so string, m project.MountInfo) string {
	switch mode := propagation(m); {
	case m.Type != TypeBind:
		return so
	case mode == types.PropagationShared || mode == types.PropagationRShared:
		return types.PropagationRShared
	case (mode == types.PropagationSlave || mode == types.PropagationRSlave) && so == "":
		return types.PropagationRSlave
	default:
		return so
	}
}

// lazyRootfs mounts the image's files when they are first asked for.
type lazyRootfs struct {
	mount   func(context.Context) (string, func() error, error)
	path    string
	release func() error
}

func (l *lazyRootfs) open(ctx context.Context) (string, error) {
	if l.path != "" {
		return l.path, nil
	}
	path, release, err := l.mount(ctx)
	if err != nil {
		return "", fmt.Errorf("mount image: %w", err)
	}
	l.path, l.release = path, release
	return path, nil
}

func (l *lazyRootfs) close() error {
	if l.release == nil {
		return nil
	}
	if err := l.release(); err != nil {
		return fmt.Errorf("unmount image: %w", err)
	}
	return nil
}

// checkID makes sure that a container's id is one folder's name.
func checkID(id string) error {
	if !slices.Contains([]string{"", ".", ".."}, id) && filepath.Base(id) == id {
		return nil
	}
	return fmt.Errorf("invalid container id %q", id)
}
