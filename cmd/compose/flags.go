package main

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// seconds reads a flag of seconds; nil when it was not given.
func seconds(c *cobra.Command, name string) (*time.Duration, error) {
	if !c.Flags().Changed(name) {
		return nil, nil
	}
	n, err := c.Flags().GetInt(name)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, fmt.Errorf("--%s must not be negative", name)
	}
	d := time.Duration(n) * time.Second
	return &d, nil
}

// timeoutFlag adds -t.
func timeoutFlag(c *cobra.Command) {
	c.Flags().IntP("timeout", "t", 0, "Seconds between stop signal and kill (default: the service's stop_grace_period)")
}

// parseScale reads values of SERVICE=NUM; bad names a wrong one.
func parseScale(specs []string, bad func(string) error) (map[string]int, error) {
	scale := map[string]int{}
	for _, spec := range specs {
		service, number, found := strings.Cut(spec, "=")
		if !found || service == "" {
			return nil, bad(spec)
		}
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("can't parse replica value as int: %q", number)
		}
		if n < 0 {
			return nil, fmt.Errorf("%s: a service cannot have %d replicas", service, n)
		}
		scale[service] = n
	}
	return scale, nil
}

// The values of --pull: those of up and create, and those of run.
// Source: Compose Specification, 05-services.md, pull_policy; docker compose
// up --help and run --help.
var (
	upPolicies  = []string{"always", "missing", "never", "build", "if_not_present"}
	runPolicies = []string{"always", "missing", "never"}
)

// checkPull checks a --pull; "" is none.
func checkPull(policy string, policies []string) error {
	if policy == "" || slices.Contains(policies, policy) {
		return nil
	}
	return fmt.Errorf("invalid --pull option %q", policy)
}

// checkWorkdir checks a --workdir; "" is none.
func checkWorkdir(dir string) error {
	if dir == "" || path.IsAbs(dir) {
		return nil
	}
	return fmt.Errorf("--workdir %q is not an absolute path", dir)
}

// given lists, as --name, those of the flags that were given.
func given(c *cobra.Command, names ...string) []string {
	var set []string
	for _, name := range names {
		if f := c.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() != "false" {
			set = append(set, "--"+name)
		}
	}
	return set
}

// exclusive is an error when more than one of the flags was given.
func exclusive(c *cobra.Command, names ...string) error {
	if set := given(c, names...); len(set) > 1 {
		return fmt.Errorf("%s and %s are incompatible", set[0], set[1])
	}
	return nil
}

// formerFlag warns of a flag that is called otherwise now.
func (a *app) formerFlag(c *cobra.Command, old, name string) {
	if c.Flags().Changed(old) {
		a.warn("--%s is deprecated, please use --%s", old, name)
	}
}

// unsupported refuses flags of the specification that have no effect yet: a
// flag is never ignored.
func unsupported(c *cobra.Command, names ...string) error {
	if set := given(c, names...); len(set) > 0 {
		return fmt.Errorf("%s is not supported yet", strings.Join(set, ", "))
	}
	return nil
}

// orphanFlag settles --remove-orphans, its variable, and the one that silences
// the warning.
func (a *app) orphanFlag(c *cobra.Command, remove *bool) (ignore bool, err error) {
	if !c.Flags().Changed("remove-orphans") {
		*remove = truth(a.env.get("COMPOSE_REMOVE_ORPHANS"))
	}
	ignore = truth(a.env.get("COMPOSE_IGNORE_ORPHANS"))
	if ignore && *remove {
		return false, errors.New("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans")
	}
	return ignore, nil
}
