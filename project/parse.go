package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// source is one Compose file.
type source struct {
	name    string // absolute path, or "-"
	content []byte
	docs    []*yaml.Node // its documents' top-level nodes
}

// readFiles reads all files and parses them as YAML.
func (l *loading) readFiles(context.Context) error {
	for i := range l.files {
		f := &l.files[i]
		if err := f.read(l.Stdin); err != nil {
			return &Error{File: f.name, Msg: printable(err.Error()), cause: err}
		}
		if err := f.parse(); err != nil {
			return err
		}
	}
	return nil
}

func (f *source) read(stdin io.Reader) (err error) {
	switch {
	case f.name != "-":
		f.content, err = os.ReadFile(f.name)
	case stdin == nil:
		return errors.New("there is no standard input to read the file from")
	default:
		f.content, err = io.ReadAll(stdin)
	}
	return err
}

// parse fills in docs.
func (f *source) parse() error {
	dec := yaml.NewDecoder(bytes.NewReader(f.content))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return explain(fmt.Errorf("failed to parse %s: %w", f.name, err), nil)
		}
		if len(doc.Content) == 0 {
			continue
		}
		top := doc.Content[0]
		if top.Kind != mappingNode {
			return &Error{File: f.name, Line: top.Line, Msg: "top-level object must be a mapping"}
		}
		f.docs = append(f.docs, top)
	}
	if len(f.docs) == 0 {
		return &Error{File: f.name, Msg: "empty compose file"}
	}
	return nil
}

// buildModel merges, interpolates and completes the files.
func (l *loading) buildModel(ctx context.Context) error {
	if l.quick() == nil {
		return nil
	}
	l.logged.take() // the loader says it again
	return explain(l.full(ctx), l.files)
}

// quick builds the model the quick way, if that can be.
func (l *loading) quick() (err error) {
	defer recoverAs(&err)
	model, warnings, err := l.quickModel()
	if err != nil {
		return err
	}
	for _, w := range warnings {
		l.warn("%s", w)
	}
	l.model = model
	return nil
}

// full builds the model with compose-go's loader.
func (l *loading) full(ctx context.Context) (err error) {
	defer recoverAs(&err)
	for _, f := range l.files { // the loader says it once for each file and process
		for _, doc := range f.docs {
			if mapped(doc, "version") != nil {
				l.warn("%s", obsoleteVersion(f.name))
			}
		}
	}
	l.model, err = loader.LoadModelWithContext(ctx, l.details(), l.options)
	return err
}

func obsoleteVersion(file string) string {
	return file + ": the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"
}

// bindModel makes the model a project of typed values, and reads the env and
// label files of active services.
func (l *loading) bindModel(context.Context) error {
	p := &Project{keepEnvFiles: l.NoEnvResolution, Compatibility: l.Compatibility || truthy(l.env["COMPOSE_COMPATIBILITY"])}
	for _, f := range l.EnvFiles {
		p.EnvFiles = append(p.EnvFiles, l.absolute(f))
	}
	l.project = p
	if l.NoInterpolate {
		p.raw = l.model
		p.Project = &types.Project{Name: l.name, WorkingDir: l.folder, Environment: l.env}
	} else if err := l.bindTyped(); err != nil {
		return explain(err, l.files)
	}
	for _, f := range l.files {
		p.ComposeFiles = append(p.ComposeFiles, f.name)
	}
	return nil
}

func (l *loading) details() types.ConfigDetails {
	d := types.ConfigDetails{WorkingDir: l.folder, Environment: l.env}
	for _, f := range l.files {
		d.ConfigFiles = append(d.ConfigFiles, types.ConfigFile{Filename: f.name, Content: f.content})
	}
	return d
}

func (l *loading) options(o *loader.Options) {
	o.SetProjectName(l.name, true)
	o.Profiles = l.Profiles
	o.SkipInterpolation = l.NoInterpolate
	o.SkipNormalization = l.NoNormalize
	o.ResolvePaths = !l.NoResolvePaths
	o.SkipResolveEnvironment = l.NoEnvResolution
	o.SkipConsistencyCheck = true // done here, in a fixed order: see checkReferences
}

// recoverAs turns a panic of the parser, which trusts its input in places,
// into an error.
func recoverAs(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("this file breaks the parser: %v", r)
	}
}

// truthy reads a boolean of the environment.
// Source: Docker Compose: 1, t, true and y are true, all else is false.
func truthy(s string) bool {
	switch strings.ToLower(s) {
	case "1", "t", "true", "y":
		return true
	}
	return false
}

// activateProfiles completes the active profiles: those of the options, else
// of the environment, and in any case those of the services named on the
// command line, each of which must exist.
func (l *loading) activateProfiles(context.Context) error {
	if len(l.Profiles) == 0 {
		for name := range strings.SplitSeq(l.env["COMPOSE_PROFILES"], ",") {
			if name = strings.TrimSpace(name); name != "" {
				l.Profiles = append(l.Profiles, name)
			}
		}
	}
	l.Profiles = slices.Clone(l.Profiles)
	services, _ := l.model["services"].(map[string]any)
	for _, name := range l.Services {
		s, ok := services[name].(map[string]any)
		if !ok {
			return noService(name)
		}
		profiles, _ := s["profiles"].([]any)
		if l.matches(profiles) {
			continue
		}
		for _, profile := range profiles {
			if text, ok := profile.(string); ok {
				l.Profiles = append(l.Profiles, text)
			}
		}
	}
	return nil
}

// matches reports whether a service with these profiles is active.
func (l *loading) matches(profiles []any) bool {
	if len(profiles) == 0 || slices.Contains(l.Profiles, "*") {
		return true
	}
	return slices.ContainsFunc(profiles, func(p any) bool {
		text, _ := p.(string)
		return slices.Contains(l.Profiles, text)
	})
}
