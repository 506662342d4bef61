package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-first/compose/project"
)

// environment is where settings that no flag gives are looked up: the
// process's variables, and under them those of the .env file.
type environment struct {
	file map[string]string
}

// process returns a variable of the process alone.
func (environment) process(name string) string { return os.Getenv(name) }

// get returns a variable of the process, else of the .env file, else "".
func (e environment) get(name string) string {
	if v, ok := os.LookupEnv(name); ok {
		return v
	}
	return e.file[name]
}

// truth reads a boolean as Compose does: what is not known to mean true is false.
func truth(s string) bool {
	switch strings.ToLower(s) {
	case "1", "t", "true", "y", "yes":
		return true
	}
	return false
}

// readEnvironment reads the .env files that settings of compose itself may
// come from. What is wrong with a file is left for project.Load to say: most
// settings have no need of it.
func readEnvironment(g globals) environment {
	files := g.envFiles
	if len(files) == 0 {
		files = splitList(os.Getenv("COMPOSE_ENV_FILES"), ",")
	}
	if len(files) == 0 && !disabled("COMPOSE_DISABLE_ENV_FILE") {
		files = []string{filepath.Join(g.settingsDir(), ".env")}
	}
	merged := map[string]string{}
	for _, file := range files {
		if values, err := project.ReadEnvFile(file, os.LookupEnv); err == nil {
			maps.Copy(merged, values)
		}
	}
	return environment{file: merged}
}

// settingsDir is the folder whose .env is read.
func (g globals) settingsDir() string {
	switch {
	case g.projectDirectory != "":
		return g.projectDirectory
	case len(g.files) > 0 && g.files[0] != "-" && !strings.Contains(g.files[0], "://"):
		return filepath.Dir(g.files[0])
	}
	return "."
}

func disabled(name string) bool {
	b, _ := strconv.ParseBool(os.Getenv(name))
	return b
}

// splitList splits a list variable, without empty parts and spaces around.
func splitList(s, sep string) []string {
	var parts []string
	for part := range strings.SplitSeq(s, sep) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// integer reads a whole number from a variable.
func (e environment) integer(name string, unset int) (int, error) {
	s := e.get(name)
	if s == "" {
		return unset, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%s must be an integer (found: %q)", name, s)
	}
	return n, nil
}
