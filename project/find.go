package project

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/types"
)

// Names that discovery looks for, the preferred first.
// Source: Docker Compose; the Compose Specification, 03-compose-file.md, has
// the first two.
var (
	fileNames     = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
	overrideNames = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
)

func (l *loading) takeEnvironment(context.Context) error {
	l.cwd = l.WorkingDir
	if l.cwd == "" {
		cwd, err := os.Getwd()
		if err != nil {
			return fmt.Errorf("find the current folder: %w", err)
		}
		l.cwd = cwd
	}
	if !filepath.IsAbs(l.cwd) {
		abs, err := filepath.Abs(l.cwd)
		if err != nil {
			return fmt.Errorf("find the current folder: %w", err)
		}
		l.cwd = abs
	}
	l.env = make(types.Mapping, len(l.Environment)+8)
	for _, kv := range l.Environment {
		if k, v, ok := strings.Cut(kv, "="); ok {
			l.env[k] = v
		}
	}
	if len(l.EnvFiles) == 0 {
		for f := range strings.SplitSeq(l.env["COMPOSE_ENV_FILES"], ",") {
			if f = strings.TrimSpace(f); f != "" {
				l.EnvFiles = append(l.EnvFiles, f)
			}
		}
	}
	return nil
}

// readEnvFiles adds what the env files define and the environment does not.
// Without any named, that is the .env of the project folder, or before that
// is known, of the folder that it would be.
func (l *loading) readEnvFiles(context.Context) error {
	files := make([]string, 0, 1)
	for _, f := range l.EnvFiles {
		files = append(files, l.absolute(f))
	}
	if len(files) == 0 {
		if v, ok := l.env[consts.ComposeDisableDefaultEnvFile]; ok {
			off, err := strconv.ParseBool(v)
			if err != nil {
				return fmt.Errorf("%s: %q is not a boolean", consts.ComposeDisableDefaultEnvFile, v)
			}
			if off {
				return nil
			}
		}
		file := filepath.Join(l.likelyFolder(), ".env")
		info, err := os.Stat(file)
		switch {
		case errors.Is(err, os.ErrPermission):
			l.warn("cannot access %s, ignoring it: %v", file, err)
			return nil
		case err != nil || info.IsDir():
			return nil
		}
		files = append(files, file)
	}
	l.spent = spent{} // they are read again once the folder is known
	vars, err := l.projectEnv(l.env, files)
	if err != nil {
		return err
	}
	l.env.Merge(vars)
	return nil
}

// likelyFolder is the project folder as far as it is known.
func (l *loading) likelyFolder() string {
	switch {
	case l.folder != "":
		return l.folder
	case l.ProjectDirectory != "":
		return l.absolute(l.ProjectDirectory)
	}
	for _, f := range l.Files {
		if f != "-" {
			return filepath.Dir(l.absolute(f))
		}
	}
	return l.cwd
}

// findFiles lists the files: those named by option or environment, else what
// lies in the project folder or its nearest parent.
func (l *loading) findFiles(context.Context) error {
	named, check := l.Files, func(string) error { return nil }
	if list, ok := l.env[consts.ComposeFilePath]; ok && list != "" && len(named) == 0 {
		sep := l.env[consts.ComposePathSeparator]
		if sep == "" {
			sep = string(os.PathListSeparator)
		}
		named = strings.Split(list, sep)
		check = func(path string) error {
			_, err := os.Stat(path)
			return err
		}
	}
	for _, f := range named {
		if err := l.addFile(f, check); err != nil {
			return err
		}
	}
	if len(l.files) == 0 {
		return l.discover()
	}
	return nil
}

func (l *loading) addFile(name string, check func(path string) error) error {
	if name == "-" {
		l.files = append(l.files, source{name: "-"})
		return nil
	}
	if remote(name) {
		return &Error{File: name, Msg: fmt.Sprintf("file %s: Compose files from Git or a registry are not supported yet", name)}
	}
	path := l.absolute(name)
	if err := check(path); err != nil {
		return &Error{File: path, Msg: err.Error(), cause: err}
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return &Error{File: path, Msg: path + " is a directory"}
	}
	l.files = append(l.files, source{name: path})
	return nil
}

// remote reports whether a file's name is a Git URL or a registry reference.
func remote(name string) bool {
	for _, prefix := range []string{"oci://", "https://", "http://", "ssh://", "git://", "git@", "github.com/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (l *loading) discover() error {
	start := l.likelyFolder()
	for dir := start; ; dir = filepath.Dir(dir) {
		found := present(dir, fileNames)
		if len(found) > 0 {
			l.choose(found, "config")
			if overrides := present(dir, overrideNames); len(overrides) > 0 {
				l.choose(overrides, "override")
			}
			return nil
		}
		if dir == filepath.Dir(dir) {
			return &Error{
				Msg:   fmt.Sprintf("%v (looked in %s and its parents)", ErrNoFile, start),
				cause: ErrNoFile,
			}
		}
	}
}

// choose takes the first of found and warns if there are others.
func (l *loading) choose(found []string, kind string) {
	if len(found) > 1 {
		l.warn("Found multiple %s files with supported names: %s", kind, strings.Join(found, ", "))
		l.warn("Using %s", found[0])
	}
	l.files = append(l.files, source{name: found[0]})
}

func present(dir string, names []string) []string {
	var found []string
	for _, name := range names {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			found = append(found, path)
		}
	}
	return found
}

// findFolder fixes the project folder: the option, else the folder of the
// first file, else the current one.
func (l *loading) findFolder(context.Context) error {
	l.folder = l.likelyFolder()
	if l.ProjectDirectory != "" {
		return nil
	}
	for _, f := range l.files {
		if f.name != "-" {
			l.folder = filepath.Dir(f.name)
			return nil
		}
	}
	return nil
}
