package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/compose-first/compose/internal/progress"
)

func TestParseScale(t *testing.T) {
	for _, tt := range []struct{ name, spec, want string }{
		{"a count", "web=3", "map[web:3]"},
		{"none", "web=0", "map[web:0]"},
		{"no count", "web", "bad: web"},
		{"no service", "=3", "bad: =3"},
		{"no number", "web=x", `can't parse replica value as int: "x"`},
		{"less than none", "web=-1", "web: a service cannot have -1 replicas"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scale, err := parseScale([]string{tt.spec}, func(s string) error { return errors.New("bad: " + s) })
			got := fmt.Sprint(scale)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTruth(t *testing.T) {
	yes := map[string]bool{"1": true, "t": true, "TRUE": true, "y": true, "Yes": true}
	for _, s := range append(slices.Collect(maps.Keys(yes)), "", "0", "no", "2", "on", "x") {
		if got := truth(s); got != yes[s] {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

// Flags that exclude each other are refused before anything is read.
func TestUpFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"detached and attached", []string{"-d", "--attach", "web"}, "--detach cannot be combined with --attach"},
		{"waiting and aborting", []string{"--wait", "--abort-on-container-exit"}, "--wait cannot be combined with --abort-on-container-exit"},
		{"to build and not", []string{"--build", "--no-build"}, "--build and --no-build are incompatible"},
		{"to recreate and not", []string{"--force-recreate", "--no-recreate"}, "--force-recreate and --no-recreate are incompatible"},
		{"new volumes need new containers", []string{"-V", "--no-recreate"}, "--renew-anon-volumes and --no-recreate are incompatible"},
		{"both aborts", []string{"--abort-on-container-exit", "--abort-on-container-failure"}, "--abort-on-container-exit and --abort-on-container-failure are incompatible"},
		{"some and more", []string{"--attach", "web", "--attach-dependencies"}, "cannot combine --attach and --attach-dependencies"},
		{"an unknown policy", []string{"--pull", "x"}, `invalid --pull option "x"`},
		{"a scale that is none", []string{"--scale", "web"}, `invalid --scale option "web". Should be SERVICE=NUM`},
		{"a wait before now", []string{"--wait", "--wait-timeout", "-1"}, "--wait-timeout must not be negative"},
		{"watch is to come", []string{"--watch"}, "--watch is not supported yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &app{}
			c := a.upCommand()
			c.SetArgs(tt.args)
			c.SilenceErrors, c.SilenceUsage = true, true
			c.SetContext(t.Context())
			if err := c.Execute(); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDisplayMode(t *testing.T) {
	for _, tt := range []struct {
		mode, ansi string
		terminal   bool
		want       string
	}{
		{"auto", "auto", true, "tty"}, {"auto", "auto", false, "plain"}, {"auto", "never", true, "plain"},
		{"auto", "always", false, "tty"}, {"json", "auto", true, "json"}, {"quiet", "auto", true, "quiet"},
	} {
		if got := displayMode(progress.Mode(tt.mode), tt.ansi, tt.terminal); string(got) != tt.want {
			t.Errorf("--progress %s --ansi %s, terminal %v: got %s, want %s", tt.mode, tt.ansi, tt.terminal, got, tt.want)
		}
	}
}

// A global flag's value may begin with a dash; what stands behind the command
// is the command's.
func TestJoinValues(t *testing.T) {
	for _, tt := range []struct{ name, args, want string }{
		{"a negative number", "--parallel -1 ps -q", "--parallel=-1 ps -q"},
		{"a short flag", "-f - -p -x ps", "-f=- -p=-x ps"},
		{"values as they are used to be", "--parallel 2 -p x --profile=-y -D ps", "--parallel 2 -p x --profile=-y -D ps"},
		{"no value", "--debug --dry-run up -d", "--debug --dry-run up -d"},
		{"a value that is missing", "--parallel", "--parallel"},
		{"a flag that there is not", "-1 ps", "-1 ps"},
		{"flags of the command", "run -p -1 web --parallel -1", "run -p -1 web --parallel -1"},
		{"no flags any more", "-- --parallel -1", "-- --parallel -1"},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := (&app{}).rootCommand()
			if got := strings.Join(joinValues(root.Flags(), strings.Fields(tt.args)), " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
