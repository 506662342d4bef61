package project

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
			return &Error{File: f.name, Msg: err.Error(), cause: err}
		}
		if err := l.parse(f); err != nil {
			return err
		}
	}
	return nil
}

func (f *source) read(stdin io.Reader) (err error) {
	switch {
	case f.name != "-":
		f.content, err = readFile(f.name, maxFileSize)
	case stdin == nil:
		return errors.New("there is no standard input to read the file from")
	default:
		f.content, err = readLimited(stdin, maxFileSize)
	}
	return err
}

// parse fills in the documents of f, as far as all the files together may
// have of them.
func (l *loading) parse(f *source) error {
	if l.spent.files++; l.spent.files > maxFiles {
		return l.fileTooMuch(f.name, 0, tooMuch("more than %d files, with those included and extended", maxFiles))
	}
	if n := marks(f.content); n > maxMarks {
		return l.fileTooMuch(f.name, 0, tooMuch("too large: about %d keys, values and list items, and at most %d are read", n, maxMarks))
	}
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
		if err := l.measure(f, top); err != nil {
			return err
		}
		f.docs = append(f.docs, top)
	}
	if len(f.docs) == 0 {
		return &Error{File: f.name, Msg: "empty compose file"}
	}
	return nil
}

// measure counts a document of f, and refuses what is too much.
func (l *loading) measure(f *source, doc *yaml.Node) error {
	s := measure(doc)
	l.spent.documents++
	l.spent.nodes += s.nodes
	l.spent.variables += s.variables
	switch {
	case s.fault != nil:
	case l.spent.documents > maxDocuments:
		s.fault, s.line = tooMuch("more than %d documents in all files together", maxDocuments), doc.Line
	case l.spent.nodes > maxNodes:
		s.fault = tooMuch("more than %d keys, values and list items in all files together", maxNodes)
	case l.spent.variables > maxVariables:
		s.fault = tooMuch("more than %d places where a variable is put in", maxVariables)
	default:
		return nil
	}
	return l.fileTooMuch(f.name, s.line, s.fault)
}

// buildModel merges, interpolates and completes the files.
func (l *loading) buildModel(ctx context.Context) error {
	if l.quick() == nil {
		return nil
	}
	l.logged.take() // the loader says it again
	l.spent.expanded, l.spent.ports = 0, 0
	if err := l.readReferred(); err != nil {
		return err
	}
	return explain(l.full(ctx), slices.Concat(l.referred, l.files))
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
	o.Interpolate.Substitute = l.substitute
	o.Interpolate.TypeCastMapping = l.countingCasts(o.Interpolate.TypeCastMapping)
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
