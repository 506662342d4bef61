package engine

import (
	"errors"
	"slices"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// defaultPath is the PATH of images that set none.
// Source: Docker, oci.DefaultPathEnv.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// process sets what runs: arguments, environment, folder and terminal.
func (b *specBuilder) process() error {
	args, err := commandLine(b.specInput)
	if err != nil {
		return err
	}
	p := b.spec.Process
	p.Args = args
	p.Env = environment(b.specInput)
	p.Cwd = firstOf(b.Service.WorkingDir, b.Image.Config.Config.WorkingDir, "/")
	p.Terminal = b.Record.TTY
	p.ConsoleSize = b.Size.box()
	if !strings.HasPrefix(p.Cwd, "/") {
		p.Cwd = "/" + p.Cwd
	}
	return nil
}

// commandLine is entrypoint and command: the service's where it says anything,
// even nothing at all, else the image's. An entrypoint of the service's own
// drops the image's command.
func commandLine(in specInput) ([]string, error) {
	image := in.Image.Config.Config
	entrypoint, command := image.Entrypoint, image.Cmd
	if in.Service.Entrypoint != nil {
		entrypoint, command = in.Service.Entrypoint, nil
	}
	if in.Service.Command != nil {
		command = in.Service.Command
	}
	args := slices.Concat(entrypoint, command)
	if len(args) == 0 {
		return nil, errors.New("neither the service nor its image says what to run")
	}
	return args, nil
}

// environment is the image's variables in their order, those of the service
// over and after them by name. A variable that the service leaves unset is
// absent, even when the image sets it.
func environment(in specInput) []string {
	env := make([]string, 0, len(in.Image.Config.Config.Env)+len(in.Service.Environment)+3)
	set := map[string]bool{}
	add := func(entry string) {
		key, _, _ := strings.Cut(entry, "=")
		if !set[key] {
			set[key] = true
			env = append(env, entry)
		}
	}
	for _, entry := range in.Image.Config.Config.Env {
		key, _, _ := strings.Cut(entry, "=")
		if value, mentioned := in.Service.Environment[key]; mentioned {
			set[key] = true
			if value != nil {
				env = append(env, key+"="+*value)
			}
			continue
		}
		add(entry)
	}
	keys := make([]string, 0, len(in.Service.Environment))
	for key, value := range in.Service.Environment {
		if value == nil {
			set[key] = true
		} else if !set[key] {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	for _, key := range keys {
		add(key + "=" + *in.Service.Environment[key])
	}
	add(defaultPath)
	if name := hostname(in); name != "" {
		add("HOSTNAME=" + name)
	}
	if in.Record.TTY {
		add("TERM=xterm")
	}
	return env
}

// user sets who runs it.
func (b *specBuilder) user() error {
	b.spec.Process.User = specs.User{
		UID:            b.who.uid,
		GID:            b.who.gid,
		AdditionalGids: b.who.groups,
		Umask:          b.Service.Umask,
	}
	return nil
}

// wantedUser is the user as the service, or its image, writes it.
func wantedUser(cfg CreateConfig) string {
	return firstOf(cfg.Service.User, cfg.Image.Config.Config.User)
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
