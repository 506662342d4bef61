package scheduler

import (
	"strings"
	"testing"
	"time"
)

// now is when the images of these tests are looked at.
var now = time.Date(2030, 1, 10, 0, 0, 0, 0, time.UTC)

// images reads "web=3h db": names of images, with the time since their pull.
func presentImages(t *testing.T, text string) map[string]Image {
	t.Helper()
	present := map[string]Image{}
	for word := range strings.FieldsSeq(text) {
		name, age, _ := strings.Cut(word, "=")
		i := Image{Digest: "d"}
		if age != "" {
			d, err := time.ParseDuration(age)
			if err != nil {
				t.Fatal(err)
			}
			i.Pulled = now.Add(-d)
		}
		present[name] = i
	}
	return present
}

func TestImages(t *testing.T) {
	const build = "build: {dockerfile_inline: FROM scratch}"
	for _, tt := range []struct {
		name, services, present string
		options                 ImageOptions
		want                    string
	}{
		{"missing is pulled, once for all who use it", "a: {image: x}, b: {image: x}, c: {image: y}", "y", ImageOptions{},
			"1 pull image x (missing)"},
		{"always", "a: {image: x, pull_policy: always}, b: {image: x}", "x", ImageOptions{},
			"1 pull image x (pull policy always)"},
		{"never, and there", "a: {image: x, pull_policy: never}", "x", ImageOptions{}, ""},
		{"never, and absent", "a: {image: x, pull_policy: never}", "", ImageOptions{},
			`error: service "a": No such image: x`},
		{"daily, pulled today", "a: {image: x, pull_policy: daily}", "x=23h", ImageOptions{}, ""},
		{"daily, pulled yesterday", "a: {image: x, pull_policy: daily}", "x=25h", ImageOptions{},
			"1 pull image x (last pulled more than 24h ago)"},
		{"weekly", "a: {image: x, pull_policy: weekly}", "x=160h", ImageOptions{}, ""},
		{"every so often", "a: {image: x, pull_policy: every_90m}", "x=2h", ImageOptions{},
			"1 pull image x (last pulled more than 1h30m ago)"},
		{"the command line's policy comes first", "a: {image: x, pull_policy: never}", "x", ImageOptions{Pull: "always"},
			"1 pull image x (pull policy always)"},
		{"no other word", "a: {image: x}", "x", ImageOptions{Pull: "newer"}, `error: invalid --pull option "newer"`},

		{"built when absent", "a: {" + build + "}", "", ImageOptions{}, "1 build image shop-a (missing)"},
		{"not when there", "a: {" + build + "}", "shop-a", ImageOptions{}, ""},
		{"with a name, pulling is tried first", "a: {image: x, " + build + "}", "", ImageOptions{},
			"1 pull or build image x (missing)"},
		{"--build builds all that can be", "a: {image: x, " + build + "}, b: {image: y}", "x y", ImageOptions{Build: true},
			"1 build image x (--build)"},
		{"policy build", "a: {image: x, pull_policy: build, " + build + "}", "x", ImageOptions{},
			"1 build image x (pull policy build)"},
		{"never pulled, but built", "a: {image: x, pull_policy: never, " + build + "}", "", ImageOptions{},
			"1 build image x (missing)"},
		{"--no-build", "a: {" + build + "}", "", ImageOptions{NoBuild: true}, `error: service "a": No such image: shop-a`},
		{"--no-build pulls what has a name", "a: {image: x, " + build + "}", "", ImageOptions{NoBuild: true},
			"1 pull image x (missing)"},
		{"both", "a: {image: x}", "", ImageOptions{Build: true, NoBuild: true}, "error: --build and --no-build are incompatible"},
		{"another service builds it", "a: {image: x, pull_policy: never}, b: {image: x, pull_policy: never, " + build + "}", "", ImageOptions{},
			"1 build image x (missing)"},

		{"independent builds at once, others in order",
			"top: {build: {context: ., additional_contexts: {base: 'service:base'}}}, base: {" + build + "}, other: {" + build + "}", "",
			ImageOptions{Services: []string{"top", "other"}},
			"1 build image shop-base (missing)\n2 build image shop-other (missing)\n3 build image shop-top (missing) <1"},
		{"dependencies' too", "a: {image: x, depends_on: [b]}, b: {image: y}, c: {image: z}", "", ImageOptions{Services: []string{"a"}},
			"1 pull image x (missing)\n2 pull image y (missing)"},
		{"but with --no-deps", "a: {image: x, depends_on: [b]}, b: {image: y}", "", ImageOptions{Services: []string{"a"}, NoDeps: true},
			"1 pull image x (missing)"},
		{"unknown", "a: {image: x}", "", ImageOptions{Services: []string{"b"}}, "error: no such service: b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t, "services: {"+tt.services+"}")
			tt.options.Now = now
			plan, _, err := Images(p, presentImages(t, tt.present), tt.options)
			got := show(plan)
			if err != nil {
				got = "error: " + err.Error() + "\n"
			}
			if want := unindent(tt.want); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestFailedPullIsBuilt(t *testing.T) {
	p := load(t, "services: {a: {image: absent, build: {dockerfile_inline: FROM scratch}}, b: {image: absent}}")
	plan, _, err := Images(p, nil, ImageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(p)
	if err := Run(t.Context(), plan, w, RunOptions{}); err != nil {
		t.Error(err)
	}
	if got := strings.Join(w.log, "; "); got != "pull absent for a,b; build a" {
		t.Errorf("got %s", got)
	}
}

func TestPull(t *testing.T) {
	const services = "services: {a: {image: 'x:1', pull_policy: missing}, b: {image: y}, c: {build: {dockerfile_inline: FROM scratch}}, d: {image: z, pull_policy: never}}"
	for _, tt := range []struct {
		name    string
		options PullOptions
		want    string
	}{
		{"what is there is asked for again, unless its policy says no", PullOptions{}, `
			1 pull image y (requested)
			Image x:1 Skipped Image is already present locally
			Image shop-c Skipped No image to be pulled
			Image z Skipped pull policy never`},
		{"latest is refreshed even so", PullOptions{Policy: "missing", Services: []string{"a", "b"}}, `
			1 pull image y (requested)
			Image x:1 Skipped Image is already present locally`},
		{"always", PullOptions{Policy: "always", Services: []string{"a"}}, "1 pull image x:1 (requested)"},
		{"failures are warnings", PullOptions{IgnoreFailures: true, Services: []string{"b"}}, "1 pull image y (requested) ?"},
		{"no other word", PullOptions{Policy: "never"}, `error: invalid --policy option "never"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t, services)
			plan, _, err := Pull(p, presentImages(t, "x:1 y"), tt.options)
			got := show(plan)
			if err != nil {
				got = "error: " + err.Error() + "\n"
			}
			for _, n := range plan.Notes {
				got += n.ID + " " + n.Text + "\n"
			}
			if want := unindent(tt.want); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestBuild(t *testing.T) {
	p := load(t, "services: {a: {build: {dockerfile_inline: FROM scratch}}, b: {image: y}, c: {image: w, build: {dockerfile_inline: FROM scratch}}}")
	for _, tt := range []struct{ name, services, want string }{
		{"all that can be built", "", "1 build image shop-a (requested)\n2 build image w (requested)"},
		{"a named one", "c", "1 build image w (requested)"},
		{"nothing to build", "b", "! No services to build"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan, warnings, err := Build(p, BuildOptions{Services: strings.Fields(tt.services)})
			if err != nil {
				t.Fatal(err)
			}
			got := show(plan)
			for _, w := range warnings {
				got += w.show()
			}
			if want := unindent(tt.want); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
