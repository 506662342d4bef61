package project

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// readEnvFile adds to vars what an env or label file defines. Its variables
// are looked up with of, then among those already in vars.
func (l *loading) readEnvFile(path, format string, vars map[string]string, of template.Mapping) error {
	content, err := readFile(path, maxEnvSize)
	if err != nil {
		return &Error{File: path, Msg: err.Error(), cause: err}
	}
	text := string(content)
	if l.spent.variables += variables(text); l.spent.variables > maxVariables {
		return l.fileTooMuch(path, 0, tooMuch("more than %d places where a variable is put in", maxVariables))
	}
	if nesting(text) > maxNesting {
		return l.fileTooMuch(path, 0, tooMuch("variables in one another's defaults more than %d deep", maxNesting))
	}
	bounded := lookup{spent: &l.spent, of: func(name string) (string, bool) {
		if v, ok := of(name); ok {
			return v, true
		}
		v, ok := vars[name]
		return v, ok
	}}
	err = dotenv.ParseWithFormat(bytes.NewReader(content), path, vars, bounded.get, format)
	if bounded.over {
		return l.fileTooMuch(path, 0, bounded.err())
	}
	if err != nil {
		return explainEnvFile(err)
	}
	return nil
}

// fileTooMuch is the error of a file beyond a limit.
func (l *loading) fileTooMuch(path string, line int, err error) error {
	return &Error{File: path, Line: line, Msg: err.Error(), cause: err}
}

var envFileFault = pattern(`(?s)^failed to read (.+?): (?:.*?line (\d+))?`)

func explainEnvFile(err error) error {
	e := &Error{Msg: clip(err.Error()), cause: err}
	if m := envFileFault().FindStringSubmatch(e.Msg); m != nil {
		e.File = m[1]
		e.Line, _ = strconv.Atoi(m[2])
	}
	return e
}

// projectEnv reads the env files of the project, or of an include: what env
// has goes before what they define, and the last definition counts.
func (l *loading) projectEnv(env types.Mapping, files []string) (map[string]string, error) {
	vars := map[string]string{}
	for _, f := range files {
		switch info, err := os.Stat(f); {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &Error{File: f, Msg: "couldn't find env file: " + f, cause: err}
		case err == nil && info.IsDir():
			return nil, &Error{File: f, Msg: f + " is a directory"}
		}
		if err := l.readEnvFile(f, "", vars, env.Resolve); err != nil {
			return nil, err
		}
	}
	return vars, nil
}

// ReadEnvFile returns what an env file defines, its variables looked up with of.
func ReadEnvFile(path string, of func(string) (string, bool)) (map[string]string, error) {
	l, vars := loading{}, map[string]string{}
	return vars, l.readEnvFile(path, "", vars, of)
}

// resolveEnvironment completes the environment of a service, or of a step
// before it: entries without a value are looked up, and the env files add
// what is not set.
func (l *loading) resolveEnvironment(spec *types.ContainerSpec) error {
	env := l.project.Environment
	spec.Environment = spec.Environment.Resolve(env.Resolve)
	if len(spec.EnvFiles) == 0 {
		return nil
	}
	all := spec.Environment.ToMapping()
	for _, f := range spec.EnvFiles {
		if _, err := os.Stat(f.Path); errors.Is(err, fs.ErrNotExist) {
			if f.Required {
				return fmt.Errorf("env file %s not found", f.Path)
			}
			continue
		}
		if err := l.readEnvFile(f.Path, f.Format, all, func(name string) (string, bool) {
			if v, ok := env.Resolve(name); ok {
				return v, true
			}
			if v := spec.Environment[name]; v != nil {
				return *v, true
			}
			return "", false
		}); err != nil {
			return err
		}
	}
	spec.Environment = all.ToMappingWithEquals().OverrideBy(spec.Environment)
	return nil
}

// resolveLabels adds the labels of the label files that a service does not set
// itself.
func (l *loading) resolveLabels(spec *types.ContainerSpec) error {
	if len(spec.LabelFiles) == 0 {
		return nil
	}
	all := map[string]string{}
	for _, f := range spec.LabelFiles {
		if _, err := os.Stat(f); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("label file %s not found", f)
		}
		if err := l.readEnvFile(f, "", all, func(string) (string, bool) { return "", false }); err != nil {
			return err
		}
	}
	labels := types.Labels{}
	for name, value := range all {
		labels = labels.Add(name, value)
	}
	for name, value := range spec.Labels {
		labels = labels.Add(name, value)
	}
	spec.Labels = labels
	return nil
}
