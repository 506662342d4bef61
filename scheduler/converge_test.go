package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/compose-first/compose/project"
)

// changes are projects before and after an edit. From any point of the way
// between them the later one must be reached.
var changes = []struct {
	name, before, after string
	options             Options
}{
	{
		name:   "first up",
		before: "",
		after: `
services:
  web: {image: w, scale: 2, depends_on: {db: {condition: service_healthy}, init: {condition: service_started}}, volumes: [/cache]}
  db: {image: d, volumes: ['data:/d'], healthcheck: {test: [CMD, t]}}
  init: {image: i}
volumes: {data: {}}
`,
	},
	{
		name: "all configurations change, namespaces and volumes are shared, one restarts",
		before: `
services:
  web: {image: w, scale: 3, depends_on: {db: {condition: service_healthy, restart: true}}, volumes: [/cache]}
  side: {image: s, network_mode: 'service:web'}
  copy: {image: c, volumes_from: [web]}
  late: {image: l, depends_on: {db: {condition: service_started, restart: true}}}
  db: {image: d, volumes: ['data:/d'], healthcheck: {test: [CMD, t]}}
volumes: {data: {}}
`,
		after: `
services:
  web: {image: w, scale: 3, environment: {A: b}, depends_on: {db: {condition: service_healthy, restart: true}}, volumes: [/cache]}
  side: {image: s, network_mode: 'service:web'}
  copy: {image: c, volumes_from: [web]}
  late: {image: l, depends_on: {db: {condition: service_started, restart: true}}}
  db: {image: d, environment: {A: b}, volumes: ['data:/d'], healthcheck: {test: [CMD, t]}}
volumes: {data: {}}
`,
	},
	{
		name: "services come and go, others grow and shrink",
		before: `
services:
  web: {image: w, scale: 4, depends_on: [old]}
  api: {image: a}
  old: {image: o, depends_on: [older]}
  older: {image: o}
`,
		after: `
services:
  web: {image: w, scale: 2, depends_on: [new]}
  api: {image: a, scale: 3}
  new: {image: n}
`,
		options: Options{RemoveOrphans: true},
	},
	{
		name: "a network and a volume change",
		before: `
services:
  web: {image: w, networks: [front, back], depends_on: [db]}
  db: {image: d, networks: [back], volumes: ['data:/d', /scratch]}
  out: {image: o, depends_on: [web], environment: {A: a}}
networks: {front: {}, back: {}}
volumes: {data: {}}
`,
		after: `
services:
  web: {image: w, networks: [front, back], depends_on: [db]}
  db: {image: d, networks: [back], volumes: ['data:/d', /scratch]}
  out: {image: o, depends_on: [web], environment: {A: b}}
networks: {front: {}, back: {driver: bridge}}
volumes: {data: {driver: local, driver_opts: {a: b}}}
`,
		options: Options{ReplaceVolumes: []string{"shop_data"}},
	},
}

func TestUpConvergesFromAnyCut(t *testing.T) {
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			before, after := load(t, orEmpty(c.before)), load(t, c.after)
			for _, parallel := range []int{1, 0} {
				whole := settled(t, before)
				whole.p = after
				bringUp(t, whole, c.options, parallel)
				for cut := 1; cut <= whole.acts; cut++ {
					w := settled(t, before)
					w.p = after
					had := anonymousVolumes(w)
					cutShort(t, w, c.options, parallel, cut)
					bringUp(t, w, c.options, parallel)
					bringUp(t, w, Options{}, parallel) // a change of plan in between is a further one
					checkSettled(t, w, cut)
					checkKept(t, had, anonymousVolumes(w))
					takeDown(t, w, cut)
				}
			}
		})
	}
}

func TestUpGetsThereOneActAtATime(t *testing.T) {
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			before, after := load(t, orEmpty(c.before)), load(t, c.after)
			w := settled(t, before)
			w.p = after
			const enough = 200 // acts; the longest of changes takes 30
			for range enough {
				plan, _, err := Up(w.p, w.live(), c.options)
				if err != nil {
					t.Fatal(err)
				}
				if plan.Empty() {
					checkSettled(t, w, 1)
					return
				}
				cutShort(t, w, c.options, 1, 1)
			}
			t.Errorf("not there after %d runs of one act:\n%s", enough, strings.Join(w.log, "\n"))
		})
	}
}

func TestDownLeavesNothingAfterAnyCut(t *testing.T) {
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			before, after := load(t, orEmpty(c.before)), load(t, c.after)
			whole := settled(t, before)
			whole.p = after
			bringUp(t, whole, c.options, 1)
			for cut := 1; cut <= whole.acts; cut++ {
				w := settled(t, before)
				w.p = after
				cutShort(t, w, c.options, 1, cut)
				takeDown(t, w, cut)
			}
		})
	}
}

func TestUpConvergesWhenTheFileGoesBack(t *testing.T) {
	for _, c := range changes[1:] {
		t.Run(c.name, func(t *testing.T) {
			before, after := load(t, c.before), load(t, c.after)
			whole := settled(t, before)
			whole.p = after
			bringUp(t, whole, c.options, 1)
			for cut := 1; cut <= whole.acts; cut++ {
				w := settled(t, before)
				w.p = after
				cutShort(t, w, c.options, 1, cut)
				w.p = before
				bringUp(t, w, c.options, 1)
				checkSettled(t, w, cut)
			}
		})
	}
}

func orEmpty(file string) string {
	if file == "" {
		return "services: {none: {image: n, scale: 0}}"
	}
	return file
}

// settled is a world in which p is up.
func settled(t *testing.T, p *project.Project) *world {
	t.Helper()
	w := newWorld(p)
	bringUp(t, w, Options{}, 1)
	w.acts, w.log = 0, nil
	return w
}

func bringUp(t *testing.T, w *world, o Options, parallel int) {
	t.Helper()
	plan, _, err := Up(w.p, w.live(), o)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	if err := Run(t.Context(), plan, w, RunOptions{Parallel: parallel}); err != nil {
		t.Fatalf("run: %v\n%s", err, show(plan))
	}
	w.checkFaults(t, show(plan))
}

// cutShort runs an up, with the lights out after a number of acts.
func cutShort(t *testing.T, w *world, o Options, parallel, acts int) {
	t.Helper()
	plan, _, err := Up(w.p, w.live(), o)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	w.acts, w.limit = 0, acts
	_ = Run(t.Context(), plan, w, RunOptions{Parallel: parallel}) // what is not done fails
	w.limit = 0
	w.checkFaults(t, show(plan))
}

func (w *world) checkFaults(t *testing.T, plan string) {
	t.Helper()
	if len(w.faults) > 0 {
		t.Fatalf("%s\nacts\n%s\nplan\n%s", strings.Join(w.faults, "\n"), strings.Join(w.log, "\n"), plan)
	}
}

// checkSettled fails unless w is what its file says, and a further up has
// nothing to do.
func checkSettled(t *testing.T, w *world, cut int) {
	t.Helper()
	plan, _, err := Up(w.p, w.live(), Options{})
	if err != nil || !plan.Empty() {
		t.Fatalf("cut after %d: not settled (%v):\n%s\nacts\n%s", cut, err, show(plan), strings.Join(w.log, "\n"))
	}
	count := map[string]int{}
	for _, c := range w.containers {
		count[c.Service]++
		if c.State != StateRunning || c.ConfigHash != w.p.Hashes[c.Service] {
			t.Errorf("cut after %d: %s is %s", cut, c.Name, c.State)
		}
		if keeps(w.p, c.Service) && !slices.ContainsFunc(c.Mounts, func(m project.MountInfo) bool { return m.Anonymous }) {
			t.Errorf("cut after %d: %s has no anonymous volume", cut, c.Name)
		}
	}
	for name := range w.p.Services {
		if count[name] != w.p.Replicas(name) {
			t.Errorf("cut after %d: %d of %s, want %d", cut, count[name], name, w.p.Replicas(name))
		}
	}
}

func keeps(p *project.Project, service string) bool {
	for _, v := range p.Services[service].Volumes {
		if v.Type == "volume" && v.Source == "" {
			return true
		}
	}
	return false
}

func takeDown(t *testing.T, w *world, cut int) {
	t.Helper()
	plan, _, err := Down(w.p, w.live(), DownOptions{RemoveOrphans: true, Volumes: true})
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	if err := Run(t.Context(), plan, w, RunOptions{}); err != nil {
		t.Fatalf("down after %d: %v", cut, err)
	}
	w.checkFaults(t, show(plan))
	if left := fmt.Sprint(len(w.containers), len(w.networks), len(w.volumes)); left != "0 0 0" {
		t.Fatalf("cut after %d: down leaves %s containers, networks, volumes\n%s", cut, left, show(plan))
	}
}

// anonymousVolumes are those of each container.
func anonymousVolumes(w *world) map[string]string {
	had := map[string]string{}
	for i := range w.containers {
		for _, m := range anonymous(&w.containers[i]) {
			had[w.containers[i].Name+m.Target] = m.Name
		}
	}
	return had
}

// checkKept fails when a container that is still there has lost its data.
func checkKept(t *testing.T, had, has map[string]string) {
	t.Helper()
	for where, volume := range has {
		if old, ok := had[where]; ok && old != volume {
			t.Errorf("%s was %s, is %s", where, old, volume)
		}
	}
}
