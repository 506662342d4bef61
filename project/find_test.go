package project

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const one = "services: {a: {image: x}}\n"

// Each row is a tree of files, a setting or two, and the files that are used.
func TestFindFiles(t *testing.T) {
	tree := "-- shop/compose.yaml --\n" + one + "-- shop/sub/deep/note --\n" + "-- shop/extra.yaml --\n" + one +
		"-- both/compose.yml --\n" + one + "-- both/docker-compose.yaml --\n" + one +
		"-- both/compose.override.yaml --\n" + one + "-- both/docker-compose.override.yml --\n" + one +
		"-- env/.env --\nCOMPOSE_FILE=a.yaml:b.yaml\n" + "-- env/a.yaml --\n" + one + "-- env/b.yaml --\n" + one +
		"-- bare/note --\n"
	for _, tt := range []struct{ name, dir, set, want string }{
		{"the file of the folder", "shop", "", "shop/compose.yaml"},
		{"else that of a parent", "shop/sub/deep", "", "shop/compose.yaml"},
		{"the preferred name, and its override", "both", "", "both/compose.yml both/compose.override.yaml" +
			"\nFound multiple config files with supported names: DIR/both/compose.yml, DIR/both/docker-compose.yaml" +
			"\nUsing DIR/both/compose.yml" +
			"\nFound multiple override files with supported names: DIR/both/compose.override.yaml, DIR/both/docker-compose.override.yml" +
			"\nUsing DIR/both/compose.override.yaml"},
		{"no override beside a named file", "both", "-f compose.yml", "both/compose.yml"},
		{"files in their order", "shop", "-f extra.yaml -f compose.yaml", "shop/extra.yaml shop/compose.yaml"},
		{"the variable's files", "shop", "COMPOSE_FILE=extra.yaml", "shop/extra.yaml"},
		{"with a separator", "shop", "COMPOSE_FILE=extra.yaml,compose.yaml COMPOSE_PATH_SEPARATOR=,", "shop/extra.yaml shop/compose.yaml"},
		{"a flag beats the variable", "shop", "COMPOSE_FILE=extra.yaml -f compose.yaml", "shop/compose.yaml"},
		{"the variable may be of .env", "env", "", "env/a.yaml env/b.yaml"},
		{"the environment beats .env", "env", "COMPOSE_FILE=b.yaml", "env/b.yaml"},
		{"and .env can be left out", "env", "COMPOSE_DISABLE_ENV_FILE=1", "no configuration file provided: not found (looked in DIR/env and its parents)"},
		{"truly or not", "env", "COMPOSE_DISABLE_ENV_FILE=maybe", `COMPOSE_DISABLE_ENV_FILE: "maybe" is not a boolean`},
		{"the project folder is searched", "bare", "--project-directory ../shop", "shop/compose.yaml"},
		{"no file at all", "bare", "", "no configuration file provided: not found (looked in DIR/bare and its parents)"},
		{"a named file is there", "shop", "-f nope.yaml", "open DIR/shop/nope.yaml: no such file or directory"},
		{"so is the variable's", "shop", "COMPOSE_FILE=nope.yaml", "stat DIR/shop/nope.yaml: no such file or directory"},
		{"a folder is no file", "shop", "-f sub", "DIR/shop/sub is a directory"},
		{"a named env file is there", "shop", "--env-file nope.env", "couldn't find env file: DIR/shop/nope.env"},
		{"also when the variable names it", "shop", "COMPOSE_ENV_FILES=nope.env", "couldn't find env file: DIR/shop/nope.env"},
		{"other hosts' files are to come", "shop", "-f oci://example.org/x", "file oci://example.org/x: Compose files from Git or a registry are not supported yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFiles(t, dir, tree)
			o := settings(tt.set)
			o.WorkingDir = filepath.Join(dir, tt.dir)
			p, err := Load(context.Background(), o)
			got := show(err, dir)
			if err == nil {
				var used []string
				for _, f := range p.ComposeFiles {
					rel, _ := filepath.Rel(dir, f)
					used = append(used, rel)
				}
				got = strings.ReplaceAll(strings.Join(append([]string{strings.Join(used, " ")}, p.Warnings...), "\n"), dir, "DIR")
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// settings reads "-f FILE", "-p NAME", "--profile NAME" and so on, and
// "NAME=VALUE" for the environment.
func settings(line string) Options {
	var o Options
	words := strings.Fields(line)
	for i := 0; i < len(words); i++ {
		next := func() string { i++; return words[i] }
		switch words[i] {
		case "-f":
			o.Files = append(o.Files, next())
		case "-p":
			o.Name = next()
		case "--profile":
			o.Profiles = append(o.Profiles, next())
		case "--env-file":
			o.EnvFiles = append(o.EnvFiles, next())
		case "--project-directory":
			o.ProjectDirectory = next()
		case "--compatibility":
			o.Compatibility = true
		default:
			if strings.Contains(words[i], "=") {
				o.Environment = append(o.Environment, words[i])
			} else {
				o.Services = append(o.Services, words[i])
			}
		}
	}
	return o
}

func TestProjectName(t *testing.T) {
	for _, tt := range []struct{ name, folder, files, set, want string }{
		{"the folder's", "shop", one, "", "shop"},
		{"in small letters, without what is not allowed", "_My Shop.1", one, "", "myshop1"},
		{"the file's beats it", "shop", "name: till\n" + one, "", "till"},
		{"the file's is brought into form", "shop", "name: The Till\n" + one, "", "thetill"},
		{"the last file's", "shop", "name: till\n" + one + "---\nname: other\n", "", "other"},
		{"with its variables", "shop", "name: till-$N\n" + one, "N=3", "till-3"},
		{"the environment's beats the file's", "shop", "name: till\n" + one, "COMPOSE_PROJECT_NAME=env", "env"},
		{"-p beats all", "shop", "name: till\n" + one, "COMPOSE_PROJECT_NAME=env -p flag", "flag"},
		{"a bad -p", "shop", one, "-p Flag", `invalid project name "Flag": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`},
		{"a bad one of the environment", "shop", one, "COMPOSE_PROJECT_NAME=-x", `invalid project name "-x": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`},
		{"nothing left", "...", one, "", `project name must not be empty: nothing usable is left of "DIR"; use -p or a top-level name`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), tt.folder)
			writeFiles(t, dir, "-- compose.yaml --\n"+tt.files)
			o := settings(tt.set)
			o.WorkingDir = dir
			p, err := Load(context.Background(), o)
			got := show(err, dir)
			if err == nil {
				got = p.Name
				if p.Environment["COMPOSE_PROJECT_NAME"] != got {
					t.Errorf("COMPOSE_PROJECT_NAME is %q", p.Environment["COMPOSE_PROJECT_NAME"])
				}
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if name, err := Name(context.Background(), o); err == nil && name != tt.want || err != nil && show(err, dir) != tt.want {
				t.Errorf("Name gives %q, %v", name, err)
			}
		})
	}
}

func TestNameNeedsNoFileWhenGiven(t *testing.T) {
	o := settings("-p shop")
	o.WorkingDir = t.TempDir()
	if name, err := Name(context.Background(), o); name != "shop" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
}

func TestFileOnStandardInput(t *testing.T) {
	dir := t.TempDir()
	o := Options{Files: []string{"-"}, WorkingDir: dir, Name: "x", Stdin: strings.NewReader("services: {a: {image: x, volumes: ['./d:/d']}}")}
	p, err := Load(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Services["a"].Volumes[0].Source; got != filepath.Join(dir, "d") {
		t.Errorf("source %s", got)
	}
}

func TestSymlinkedFolderKeepsItsName(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, "-- real/compose.yaml --\n"+one)
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	p, err := Load(context.Background(), Options{WorkingDir: filepath.Join(dir, "link")})
	if err != nil {
		t.Fatal(err)
	}
	want := `project has been loaded without an explicit name from a symlink. Using name "link"`
	if p.Name != "link" || !slices.Contains(p.Warnings, want) {
		t.Errorf("name %q, warnings %q", p.Name, p.Warnings)
	}
}

func TestInterpolationEnvironment(t *testing.T) {
	for _, tt := range []struct{ name, files, set, want string }{
		{"a variable of .env", "-- .env --\nV=dot\n", "", "dot"},
		{"the environment beats .env", "-- .env --\nV=dot\n", "V=env", "env"},
		{"the last env file wins, and .env is not read", "-- .env --\nV=dot\nW=dot\n-- 1.env --\nV=1\n-- 2.env --\nV=2$W\n", "--env-file 1.env --env-file 2.env", "2"},
		{"a variable that names them", "-- 1.env --\nV=1\n", "COMPOSE_ENV_FILES=1.env", "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, _, err := load(t, "services: {a: {image: \"x:v$V\"}}\n"+tt.files, func(o *Options) {
				s := settings(tt.set)
				o.Environment, o.EnvFiles = s.Environment, s.EnvFiles
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimPrefix(p.Services["a"].Image, "x:v"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUnsetVariableWarnsOnce(t *testing.T) {
	p, _, err := load(t, "services: {a: {image: \"x$NOPE\", hostname: \"h$NOPE\"}}\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{`The "NOPE" variable is not set. Defaulting to a blank string.`}; !slices.Equal(p.Warnings, want) {
		t.Errorf("got %q", p.Warnings)
	}
}

func TestProfiles(t *testing.T) {
	const file = "services:\n  a: {image: x}\n  b: {image: x, profiles: [pp]}\n  c: {image: x, profiles: [pp, qq]}\n  d: {image: x, depends_on: {b: {condition: service_started, required: false}}}\n"
	for _, tt := range []struct{ name, set, want string }{
		{"none", "", "a d"},
		{"one", "--profile pp", "a b c d"},
		{"several", "--profile qq --profile other", "a c d"},
		{"all", "--profile *", "a b c d"},
		{"by the environment", "COMPOSE_PROFILES=other,qq", "a c d"},
		{"a flag beats the environment", "COMPOSE_PROFILES=pp --profile qq", "a c d"},
		{"by a service named on the command line", "c", "a b c d"},
		{"an unknown service", "z", "no such service: z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, dir, err := load(t, file, func(o *Options) {
				s := settings(tt.set)
				o.Environment, o.Profiles, o.Services = s.Environment, s.Profiles, s.Services
			})
			got := show(err, dir)
			if err == nil {
				got = strings.Join(p.ServiceNames(), " ")
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
