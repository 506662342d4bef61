package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// compose-go reads the files that are included and extended itself, whatever
// they are. They are read here before, so that none is that never ends or is
// too much, and so that a fault in one can be told with its line. A file that
// is not there is left to compose-go to complain of.

// outline is the part of a file that refers to others.
type outline struct {
	Include  []includeEntry          `yaml:"include"`
	Services map[string]extendsEntry `yaml:"services"`
}

type includeEntry struct {
	Path             types.StringList `yaml:"path"`
	ProjectDirectory string           `yaml:"project_directory"`
	EnvFile          types.StringList `yaml:"env_file"`
}

type extendsEntry struct{ file, service string }

// UnmarshalYAML reads the short form too. What is of a wrong type is left to
// the schema.
func (e *includeEntry) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == scalarNode {
		e.Path = types.StringList{n.Value}
		return nil
	}
	if n.Kind != mappingNode {
		return nil
	}
	e.Path, e.EnvFile = textsOf(mapped(n, "path")), textsOf(mapped(n, "env_file"))
	if d := mapped(n, "project_directory"); d != nil {
		e.ProjectDirectory = d.Value
	}
	return nil
}

// UnmarshalYAML reads what a service extends.
func (e *extendsEntry) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != mappingNode {
		return nil
	}
	var service struct {
		Extends yaml.Node `yaml:"extends"`
	}
	if err := n.Decode(&service); err != nil {
		return nil
	}
	extends := &service.Extends
	if extends.Kind == yaml.AliasNode {
		extends = extends.Alias
	}
	switch extends.Kind {
	case scalarNode:
		e.service = extends.Value
	case mappingNode:
		if f := mapped(extends, "file"); f != nil {
			e.file = f.Value
		}
		if s := mapped(extends, "service"); s != nil {
			e.service = s.Value
		}
	}
	return nil
}

func textsOf(n *yaml.Node) []string {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.AliasNode:
		return textsOf(n.Alias)
	case n.Kind == scalarNode:
		return []string{n.Value}
	}
	var texts []string
	for _, c := range n.Content {
		if c.Kind == yaml.AliasNode {
			c = c.Alias
		}
		texts = append(texts, c.Value)
	}
	return texts
}

// referrer is a file while what it refers to is read.
type referrer struct {
	file    *source
	folders []string // that its paths may start from
	env     types.Mapping
	envs    string   // the env files that env comes from, to tell one from another
	chain   []string // of files that led here, itself the last
}

// readReferred reads all files that the project's include or extend.
func (l *loading) readReferred() error {
	seen := map[string]bool{}
	for i := range l.files {
		f := &l.files[i]
		r := referrer{file: f, folders: []string{l.folder, filepath.Dir(f.name)}, env: l.env, chain: []string{f.name}}
		if err := l.follow(r, seen); err != nil {
			return err
		}
	}
	return l.checkExtends()
}

func (l *loading) follow(r referrer, seen map[string]bool) error {
	for _, doc := range r.file.docs {
		var o outline
		if err := doc.Decode(&o); err != nil {
			continue // the schema will say so
		}
		l.noteExtensions(r, doc, o.Services)
		for _, entry := range o.Include {
			if err := l.followInclude(r, entry, seen); err != nil {
				return err
			}
		}
		for name, s := range o.Services {
			if s.file == "" {
				continue
			}
			found := l.candidates(r, s.file)
			if len(found) == 0 && !strings.Contains(s.file, "$") && !remote(s.file) {
				key := "services." + name + ".extends"
				return &Error{
					File: r.file.name, Line: locate([]source{*r.file}, key+".file").line, Service: name, Key: "extends.file",
					Msg: fmt.Sprintf("%s: file %s not found", key, s.file), cause: fs.ErrNotExist,
				}
			}
			for _, path := range found {
				next := r
				next.folders = []string{filepath.Dir(path)}
				if err := l.readOne(next, path, seen); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (l *loading) followInclude(r referrer, entry includeEntry, seen map[string]bool) error {
	for _, name := range entry.Path {
		for _, path := range l.candidates(r, name) {
			next := r
			next.folders = []string{filepath.Dir(path)}
			if d := entry.ProjectDirectory; d != "" {
				next.folders = append(next.folders, l.candidates(r, d)...)
			}
			if err := l.includeEnv(r, &next, entry); err != nil {
				return err
			}
			if err := l.readOne(next, path, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// includeEnv gives next, which r includes, the environment that it sees.
func (l *loading) includeEnv(r referrer, next *referrer, entry includeEntry) error {
	var files []string
	for _, name := range entry.EnvFile {
		if name != os.DevNull {
			files = append(files, l.candidates(r, name)...)
		}
	}
	if len(entry.EnvFile) == 0 {
		for _, dir := range next.folders {
			if info, err := os.Stat(filepath.Join(dir, ".env")); err == nil && !info.IsDir() {
				files = append(files, filepath.Join(dir, ".env"))
			}
		}
	}
	if len(files) == 0 {
		return nil
	}
	vars, err := l.projectEnv(r.env, files)
	if err != nil {
		return err
	}
	next.env = r.env.Clone().Merge(vars)
	next.envs = r.envs + "\x00" + strings.Join(files, "\x00")
	return nil
}

// readOne reads a file, reached as next says, and those that it refers to in
// turn. One that is reached in several ways may mean several things.
func (l *loading) readOne(next referrer, path string, seen map[string]bool) error {
	key := strings.Join(slices.Concat([]string{path}, next.folders, []string{next.envs}), "\x00")
	if seen[key] || slices.Contains(next.chain, path) {
		return nil
	}
	seen[key] = true
	if len(next.chain) > maxIncludes {
		return l.fileTooMuch(next.file.name, 0, tooMuch("more than %d files that include or extend one another in a chain", maxIncludes))
	}
	f := &source{name: path}
	if err := f.read(nil); err != nil {
		return &Error{File: path, Msg: err.Error(), cause: err}
	}
	if err := l.parse(f); err != nil {
		return err
	}
	l.referred = append(l.referred, *f)
	next.file, next.chain = f, append(slices.Clone(next.chain), path)
	return l.follow(next, seen)
}

// candidates are the files or folders that a path in a file may mean, as far
// as they are there: which one it is depends on how the file was reached.
func (l *loading) candidates(r referrer, name string) []string {
	name, err := l.substitute(name, r.env.Resolve)
	if err != nil || name == "" || remote(name) {
		return nil
	}
	var found []string
	for _, dir := range r.folders {
		path := name
		if !filepath.IsAbs(name) {
			path = filepath.Join(dir, name)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}
