package scheduler

import (
	"strings"
	"testing"

	"github.com/compose-first/compose/project"
)

// chainOfThree is web on app on db, and one that hangs on nothing.
const chainOfThree = `
services:
  web: {image: w, depends_on: [app]}
  app: {image: a, depends_on: {db: {condition: service_healthy, restart: true}}}
  db: {image: d, healthcheck: {test: [CMD, t]}}
  solo: {image: s}
  dev: {image: x, profiles: [dev]}
`

type commandRow struct {
	name, file, live string
	noFile           bool // only the project's name is known
	plan             func(p *project.Project, live Live) (Plan, []Warning, error)
	want             string
}

func (r commandRow) run(t *testing.T) {
	p := load(t, r.file)
	w := newWorld(p)
	w.populate(t, r.live)
	live := w.live()
	if r.noFile {
		p = nil
	}
	plan, warnings, err := r.plan(p, live)
	got := show(plan)
	if err != nil {
		got += "error: " + err.Error() + "\n"
	}
	for _, s := range warnings {
		got += s.show()
	}
	if want := unindent(r.want); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// show is the warning on a line of its own.
func (w Warning) show() string {
	if w.Info {
		return "i " + w.Text + "\n"
	}
	return "! " + w.Text + "\n"
}

const chainRunning = "web-1 running\napp-1 running\ndb-1 running health=healthy\nsolo-1 running\ndev-1 running\ndb-run-a running oneoff"

func TestStop(t *testing.T) {
	stop := func(services ...string) func(*project.Project, Live) (Plan, []Warning, error) {
		return func(p *project.Project, live Live) (Plan, []Warning, error) {
			return Stop(p, live, StopOptions{Services: services})
		}
	}
	for _, r := range []commandRow{
		{
			name: "dependents first; one-offs and inactive services are let be",
			file: chainOfThree, live: chainRunning, plan: stop(),
			want: `
				1 stop web-1 (requested)
				2 stop solo-1 (requested)
				3 stop app-1 (requested) <1
				4 stop db-1 (requested) <3`,
		},
		{
			name: "named ones alone, in order across what lies between",
			file: chainOfThree, live: chainRunning, plan: stop("db", "web"),
			want: `
				1 stop web-1 (requested)
				2 stop db-1 (requested) <1`,
		},
		{
			name: "what has stopped is stopped again, so that no policy starts it",
			file: chainOfThree, live: "web-1 exited", plan: stop("web"),
			want: "1 stop web-1 (requested)",
		},
		{
			name: "without a file the order is the containers' own",
			file: "services: {z: {image: z}}", noFile: true, plan: stop(),
			live: "b-1 running needs=a:service_started\na-1 running",
			want: `
				1 stop b-1 (requested)
				2 stop a-1 (requested) <1`,
		},
		{
			name: "containers that depend on each other, from two generations of the file",
			file: "services: {z: {image: z}}", noFile: true, plan: stop(),
			live: "b-1 running needs=a:service_started\na-1 running needs=b:service_started",
			want: `
				1 stop a-1 (requested)
				2 stop b-1 (requested) <1`,
		},
		{
			name: "unknown, with a file", file: chainOfThree, plan: stop("x"),
			want: "error: no such service: x",
		},
		{
			name: "unknown, without one", file: chainOfThree, noFile: true, plan: stop("x"), want: "",
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestStart(t *testing.T) {
	start := func(o StartOptions) func(*project.Project, Live) (Plan, []Warning, error) {
		return func(p *project.Project, live Live) (Plan, []Warning, error) { return Start(p, live, o) }
	}
	for _, r := range []commandRow{
		{
			name: "dependencies too, and their conditions",
			file: chainOfThree, live: "web-1 exited old\napp-1 exited\ndb-1 exited exit=1\nsolo-1 exited",
			plan: start(StartOptions{Services: []string{"web"}}),
			want: `
				1 start db-1 (exited (1))
				2 wait until healthy: db-1 (for app) <1
				3 start app-1 (exited (0)) <2
				4 start web-1 (exited (0)) <3`,
		},
		{
			name: "all run: nothing",
			file: chainOfThree, live: chainRunning, plan: start(StartOptions{}), want: "",
		},
		{
			name: "waiting for all",
			file: chainOfThree, live: "db-1 running health=starting",
			plan: start(StartOptions{Services: []string{"db"}, Wait: true}),
			want: "1 wait until ready: db-1 (--wait)",
		},
		{
			name: "one has no container",
			file: chainOfThree, live: "web-1 exited\ndb-1 exited", plan: start(StartOptions{Services: []string{"web"}}),
			want: `error: service "app" has no container to start`,
		},
		{
			name: "none that should have",
			file: "services: {a: {image: a, scale: 0}}", plan: start(StartOptions{}), want: "",
		},
		{
			name: "without a file, no container", file: chainOfThree, noFile: true, plan: start(StartOptions{}),
			want: `error: no container found for project "shop": not found`,
		},
		{
			name: "without a file, unknown", file: chainOfThree, noFile: true, live: "web-1 exited", plan: start(StartOptions{Services: []string{"x"}}),
			want: `error: no such service: "x": not found`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestRestart(t *testing.T) {
	restart := func(o RestartOptions) func(*project.Project, Live) (Plan, []Warning, error) {
		return func(p *project.Project, live Live) (Plan, []Warning, error) { return Restart(p, live, o) }
	}
	for _, r := range []commandRow{
		{
			name: "dependents whose entry says so restart too",
			file: chainOfThree, live: chainRunning, plan: restart(RestartOptions{Services: []string{"db"}}),
			want: `
				1 stop app-1 (db is restarted)
				2 stop db-1 (restart) <1
				3 start db-1 (restart) <2 !
				4 wait until healthy: db-1 (for app) <3 !
				5 start app-1 (db is restarted) <1,4 !`,
		},
		{
			name: "but not with --no-deps",
			file: chainOfThree, live: chainRunning, plan: restart(RestartOptions{Services: []string{"db"}, NoDeps: true}),
			want: `
				1 stop db-1 (restart)
				2 start db-1 (restart) <1 !`,
		},
		{
			name: "exited ones start",
			file: chainOfThree, live: "solo-1 exited old", plan: restart(RestartOptions{}),
			want: `
				1 stop solo-1 (restart)
				2 start solo-1 (restart) <1 !`,
		},
		{
			name: "without a file, unknown", file: chainOfThree, noFile: true, plan: restart(RestartOptions{Services: []string{"x"}}),
			want: `error: no such service: "x": not found`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestKill(t *testing.T) {
	kill := func(o KillOptions) func(*project.Project, Live) (Plan, []Warning, error) {
		return func(p *project.Project, live Live) (Plan, []Warning, error) { return Kill(p, live, o) }
	}
	for _, r := range []commandRow{
		{
			name: "what runs of the service, one-offs too, at once",
			file: chainOfThree, live: chainRunning + "\nweb-2 exited", plan: kill(KillOptions{Services: []string{"db", "web"}, Signal: "HUP"}),
			want: `
				1 kill db-1 (HUP)
				2 kill shop-db-run-a (HUP)
				3 kill web-1 (HUP)`,
		},
		{
			name: "orphans on request",
			file: "services: {a: {image: a}, dev: {image: d, profiles: [dev]}}", live: "gone-1 running\ndev-1 running", plan: kill(KillOptions{Orphans: true}),
			want: "1 kill gone-1 (SIGKILL)",
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestRemove(t *testing.T) {
	remove := func(o RemoveOptions) func(*project.Project, Live) (Plan, []Warning, error) {
		return func(p *project.Project, live Live) (Plan, []Warning, error) { return Remove(p, live, o) }
	}
	const live = "web-1 running\nweb-2 exited\ndb-1 created\ndb-run-a exited oneoff"
	for _, r := range []commandRow{
		{
			name: "what is stopped",
			file: chainOfThree, live: live, plan: remove(RemoveOptions{}),
			want: `
				1 remove web-2 (requested)
				2 remove db-1 (requested)`,
		},
		{
			name: "all, stopped first",
			file: chainOfThree, live: live, plan: remove(RemoveOptions{Stop: true, Services: []string{"web"}}),
			want: `
				1 stop web-1 (requested)
				2 remove web-1 (requested) <1
				3 remove web-2 (requested)`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestRemovals(t *testing.T) {
	w := newWorld(load(t, chainOfThree))
	w.populate(t, "web-1 running\nweb-2 exited\ndb-1 created")
	plan, _, err := Remove(w.p, w.live(), RemoveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(plan.Removals(), ", "); got != "shop-db-1, shop-web-2" {
		t.Errorf("got %s", got)
	}
}

func TestDown(t *testing.T) {
	down := func(o DownOptions) func(*project.Project, Live) (Plan, []Warning, error) {
		return func(p *project.Project, live Live) (Plan, []Warning, error) { return Down(p, live, o) }
	}
	const file = `
services:
  web: {image: w, depends_on: [db], networks: [front, back]}
  db: {build: {dockerfile_inline: FROM scratch}, networks: [back], volumes: ['data:/data']}
networks: {front: {}, back: {}}
volumes: {data: {}}
`
	for _, r := range []commandRow{
		{
			name: "containers, dependents first, then networks; no volume",
			file: file, live: "web-1 running\ndb-1 running\ndb-2 exited", plan: down(DownOptions{}),
			want: `
				1 stop web-1 (down)
				2 stop db-1 (down) <1
				3 remove web-1 (down) <1
				4 remove db-1 (down) <2
				5 remove db-2 (down)
				6 remove network shop_back (down) <3,4,5
				7 remove network shop_front (down) <3`,
		},
		{
			name: "volumes and images on request; foreign volumes stay",
			file: file, live: "db-1 exited\nno network shop_back\nno network shop_front", plan: down(DownOptions{Volumes: true, Images: "local"}),
			want: `
				1 remove db-1 (down)
				2 remove volume shop_data (down -v) <1
				3 remove image shop-db (down --rmi local) <1`,
		},
		{
			name: "anonymous volumes without a container go, those with one go with it",
			file: "services: {web: {image: w}}", live: "web-1 exited anon=v\nanonymous volume v\nanonymous volume lost", plan: down(DownOptions{Volumes: true}),
			want: `
				1 remove web-1 (down)
				2 remove network shop_default (down) <1
				3 remove volume lost (down -v)`,
		},
		{
			name: "a volume of another project stays",
			file: file, live: "db-1 exited\nforeign volume shop_data\nno network shop_back\nno network shop_front", plan: down(DownOptions{Volumes: true, Images: "all"}),
			want: `
				1 remove db-1 (down)
				2 remove image shop-db (down --rmi all) <1
				3 remove image w (down --rmi all)
				! volume "shop_data" was not created for project "shop": it is kept`,
		},
		{
			name: "one service, and its networks are tried",
			file: file, live: "web-1 exited\ndb-1 running", plan: down(DownOptions{Services: []string{"db"}}),
			want: `
				1 stop db-1 (down)
				2 remove db-1 (down) <1
				3 remove network shop_back (down) <2`,
		},
		{
			name: "orphans and one-offs stay",
			file: file, live: "gone-1 running\nweb-run-a exited oneoff\nno network shop_front", plan: down(DownOptions{}),
			want: "1 remove network shop_back (down)",
		},
		{
			name: "or go",
			file: file, live: "gone-1 running\nweb-run-a running oneoff\nno network shop_front\nno network shop_back", plan: down(DownOptions{RemoveOrphans: true}),
			want: `
				1 stop shop-web-run-a (down)
				2 stop gone-1 (down)
				3 remove shop-web-run-a (down) <1
				4 remove gone-1 (down) <2`,
		},
		{
			name: "inactive services stay, and their networks with them",
			file: "services: {web: {image: w}, dev: {image: d, profiles: [dev]}}", live: "web-1 exited\ndev-1 running", plan: down(DownOptions{}),
			want: "1 remove web-1 (down)",
		},
		{
			name: "networks that the file does not have any more",
			file: file, live: "extra network shop_old\nforeign network else\nno network shop_front\nno network shop_back", plan: down(DownOptions{}),
			want: "1 remove network shop_old (down)",
		},
		{
			name: "again: nothing, and no word",
			file: file, plan: down(DownOptions{}), want: "",
		},
		{
			name: "nothing that could be there",
			file: "services: {a: {image: a, network_mode: none}}", plan: down(DownOptions{}),
			want: `! Warning: No resource found to remove for project "shop".`,
		},
		{
			name: "without a file all is found by its labels",
			file: file, noFile: true, live: "web-1 running\ndb-1 running", plan: down(DownOptions{Volumes: true, Images: "local"}),
			want: `
				1 stop web-1 (down)
				2 stop db-1 (down) <1
				3 remove web-1 (down) <1
				4 remove db-1 (down) <2
				5 remove network shop_back (down) <3,4
				6 remove network shop_front (down) <3
				7 remove volume shop_data (down -v) <4
				8 remove image shop-db (down --rmi local) <4`,
		},
		{
			name: "without a file, a service that has none",
			file: file, noFile: true, live: "web-1 running", plan: down(DownOptions{Services: []string{"x"}}),
			want: `i Any of the services [x] not running in project "shop"`,
		},
		{
			name: "which images?",
			file: file, plan: down(DownOptions{Images: "some"}), want: `error: invalid value for --rmi: "some"`,
		},
	} {
		t.Run(r.name, r.run)
	}
}
