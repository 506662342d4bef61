package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/sys/mountinfo"

	"github.com/compose-first/compose/internal/filelabel"
	"github.com/compose-first/compose/project"
)

// Check returns what would make the mounts, secrets and configs of services
// fail, all of it joined: a bind source that is missing and not to be created,
// a propagation that the source cannot have, a missing external volume, an
// unknown driver, a missing file of a secret, and, where containers are
// labelled (SELinux), a folder that must keep the label that it has. It changes
// nothing. Errors name service and key.
func (s *Store) Check(p *project.Project, services []string, labelled bool) error {
	var faults []error
	for _, service := range services {
		faults = append(faults, s.checkMounts(p, service, labelled), checkFiles(p, p.Services[service]))
	}
	return errors.Join(faults...)
}

func (s *Store) checkMounts(p *project.Project, service string, labelled bool) error {
	wants, err := Resolve(p, service, nil, nil, nil)
	if err != nil {
		return err
	}
	var faults []error
	for _, w := range wants {
		if err := s.checkMount(w, labelled); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", w.Key, err))
		}
	}
	return errors.Join(faults...)
}

func (s *Store) checkMount(w Want, labelled bool) error {
	if w.Info.Type == TypeVolume {
		return s.checkVolume(w)
	}
	if _, err := bindOptions(w.Info); w.Info.Type != TypeBind || err != nil {
		return err
	}
	existing, err := existingPart(w.Info.Source)
	if err != nil {
		return fmt.Errorf("bind source: %w", err)
	}
	if existing != w.Info.Source && !has(w.Info, wordCreate) {
		return fmt.Errorf("bind source %s does not exist, and create_host_path is false", w.Info.Source)
	}
	if labelled && (has(w.Info, wordShared) || has(w.Info, wordOwn)) {
		if err := filelabel.Guarded(w.Info.Source); err != nil {
			return fmt.Errorf("bind.selinux: %w", err)
		}
	}
	return checkPropagation(existing, propagation(w.Info))
}

func (s *Store) checkVolume(w Want) error {
	if !w.Volume.External {
		return nil
	}
	if _, err := s.Get(w.Volume.Name); errors.Is(err, ErrNotFound) {
		return fmt.Errorf("volume %q is declared external, and there is none: create it, or drop external", w.Volume.Name)
	} else if err != nil {
		return err
	}
	return nil
}

// existingPart returns source, or the closest folder above it that is there.
// A file where a folder is needed is an error.
func existingPart(source string) (string, error) {
	for path := source; ; path = filepath.Dir(path) {
		st, err := os.Stat(path)
		switch {
		case err == nil && path != source && !st.IsDir():
			return "", fmt.Errorf("%s cannot be created: %s is not a folder", source, path)
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "not a directory"):
			return "", err
		case path == "/":
			return "", err
		}
	}
}

// checkPropagation returns an error when the mount that path lies on cannot
// pass mounts on as mode says: the kernel would refuse the container.
func checkPropagation(path, mode string) error {
	private := mode == types.PropagationPrivate || mode == types.PropagationRPrivate
	if private {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(real))
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var on *mountinfo.Info
	for _, m := range mounts {
		if on == nil || len(m.Mountpoint) >= len(on.Mountpoint) {
			on = m
		}
	}
	if on == nil {
		return nil
	}
	shared := strings.Contains(on.Optional, "shared:")
	slave := mode == types.PropagationSlave || mode == types.PropagationRSlave
	if shared || slave && strings.Contains(on.Optional, "master:") {
		return nil
	}
	return fmt.Errorf("bind.propagation: %s needs a shared mount, and %s, which has %s, is not: mount --make-rshared %s", mode, on.Mountpoint, path, on.Mountpoint)
}

// checkFiles checks the files of a service's secrets and configs.
func checkFiles(p *project.Project, s types.ServiceConfig) error {
	_, err := p.FileContents(s.Name)
	faults := []error{err}
	for _, g := range s.Secrets {
		def := p.Secrets[g.Source]
		faults = append(faults, checkFile(s.Name, "secrets", types.FileReferenceConfig(g), def.File))
	}
	for _, g := range s.Configs {
		def := p.Configs[g.Source]
		faults = append(faults, checkFile(s.Name, "configs", types.FileReferenceConfig(g), def.File))
	}
	return errors.Join(faults...)
}

func checkFile(service, key string, g types.FileReferenceConfig, file string) error {
	if file == "" {
		return nil
	}
	st, err := os.Stat(file)
	switch {
	case err != nil:
		return fmt.Errorf("services.%s.%s: %s: %w", service, key, g.Source, err)
	case st.IsDir() && (g.UID != "" || g.GID != "" || g.Mode != nil):
		return fmt.Errorf("services.%s.%s: %s: %s is a folder: it cannot be given an owner or mode", service, key, g.Source, file)
	case !st.IsDir() && !st.Mode().IsRegular():
		return fmt.Errorf("services.%s.%s: %s: %s is neither a file nor a folder", service, key, g.Source, file)
	}
	return nil
}
