package scheduler

import (
	"strings"
	"testing"
)

type upRow struct {
	name, file, live string
	options          Options
	want             string // plan, then "= NAME" for what runs as it should, then "! WARNING"
}

func (r upRow) run(t *testing.T) {
	p := load(t, r.file)
	w := newWorld(p)
	w.populate(t, r.live)
	plan, warnings, err := Up(p, w.live(), r.options)
	var got string
	if err != nil {
		got = "error: " + err.Error() + "\n"
	} else {
		got = show(plan)
		for _, c := range plan.Unchanged {
			got += "= " + c.Name + "\n"
		}
		for _, s := range warnings {
			got += s.show()
		}
	}
	if want := unindent(r.want); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

const webAndDB = `
services:
  web: {image: web, depends_on: [db]}
  db: {image: db}
`

func TestUp(t *testing.T) {
	for _, r := range []upRow{
		{
			name: "from nothing: network, creates at once, starts in order",
			file: webAndDB,
			want: `
				1 create network shop_default (new)
				2 create db-1 (new) <1
				3 create web-1 (new) <1
				4 start db-1 (new) <2
				5 start web-1 (new) <3,4`,
		},
		{
			name: "all is right: nothing to do",
			file: webAndDB,
			live: "web-1 running\ndb-1 running",
			want: `
				= shop-db-1
				= shop-web-1`,
		},
		{
			name:    "a named service brings its dependencies",
			file:    "services: {web: {image: w, depends_on: [db]}, db: {image: d}, other: {image: o}}",
			live:    "other-1 exited",
			options: Options{Services: []string{"web"}},
			want: `
				1 create db-1 (new)
				2 create web-1 (new)
				3 start db-1 (new) <1
				4 start web-1 (new) <2,3`,
		},
		{
			name:    "--no-deps leaves them out, conditions too",
			file:    "services: {web: {image: w, depends_on: {db: {condition: service_healthy}}}, db: {image: d, healthcheck: {test: [CMD, t]}}}",
			live:    "db-1 exited",
			options: Options{Services: []string{"web"}, NoDeps: true},
			want: `
				1 create web-1 (new)
				2 start web-1 (new) <1`,
		},
		{
			name: "changed: the new one exists before the old one stops",
			file: webAndDB,
			live: "web-1 running old\ndb-1 running",
			want: `
				1 create web-1 (configuration changed)
				2 stop old web-1 (replaced) <1
				3 remove old web-1 (replaced) <1,2 !
				4 start web-1 (replaced) <1,3 !
				= shop-db-1`,
		},
		{
			name: "both changed: stops in reverse order, starts in order",
			file: webAndDB,
			live: "web-1 running old\ndb-1 running old",
			want: `
				1 create db-1 (configuration changed)
				2 create web-1 (configuration changed)
				3 stop old web-1 (replaced) <2
				4 stop old db-1 (replaced) <1,3
				5 remove old db-1 (replaced) <1,4 !
				6 remove old web-1 (replaced) <2,3 !
				7 start db-1 (replaced) <1,5 !
				8 start web-1 (replaced) <2,6,7 !`,
		},
		{
			name: "stopped and never started ones start, keeping their place",
			file: "services: {web: {image: w, scale: 3}}",
			live: "web-1 exited exit=3\nweb-2 created\nweb-3 running",
			want: `
				1 start web-1 (exited (3))
				2 start web-2 (created)
				= shop-web-3`,
		},
		{
			name: "a restarting one is let be",
			file: "services: {web: {image: w}}",
			live: "web-1 restarting",
			want: "= shop-web-1",
		},
		{
			name: "a paused one is in the way",
			file: "services: {web: {image: w}}",
			live: "web-1 paused",
			want: "error: container shop-web-1 is paused: unpause it first",
		},
		{
			name: "a dead one is replaced",
			file: "services: {web: {image: w}}",
			live: "web-1 dead",
			want: `
				1 create web-1 (dead)
				2 remove old web-1 (replaced) <1
				3 start web-1 (replaced) <1,2`,
		},
		{
			name:    "--force-recreate is for what is named, not for its dependencies",
			file:    webAndDB,
			live:    "web-1 exited\ndb-1 running",
			options: Options{Services: []string{"web"}, ForceRecreate: true},
			want: `
				1 create web-1 (forced)
				2 remove old web-1 (replaced) <1
				3 start web-1 (replaced) <1,2
				= shop-db-1`,
		},
		{
			name:    "--always-recreate-deps is for those",
			file:    webAndDB,
			live:    "web-1 running\ndb-1 exited",
			options: Options{Services: []string{"web"}, AlwaysRecreateDeps: true},
			want: `
				1 create db-1 (forced)
				2 remove old db-1 (replaced) <1
				3 start db-1 (replaced) <1,2
				= shop-web-1`,
		},
		{
			name:    "--no-recreate keeps even what has changed, and starts it",
			file:    webAndDB,
			live:    "web-1 exited old\ndb-1 running old",
			options: Options{NoRecreate: true},
			want: `
				1 start web-1 (exited (0))
				= shop-db-1`,
		},
		{
			name:    "create starts nothing; a running one is replaced by a stopped one",
			file:    webAndDB,
			live:    "web-1 running old\ndb-1 exited",
			options: Options{NoStart: true},
			want: `
				1 create web-1 (configuration changed)
				2 stop old web-1 (replaced) <1
				3 remove old web-1 (replaced) <1,2 !`,
		},
		{
			name: "a new image replaces",
			file: "services: {web: {image: w}}",
			live: "web-1 exited image=other",
			want: `
				1 create web-1 (image changed)
				2 remove old web-1 (replaced) <1
				3 start web-1 (replaced) <1,2`,
		},
		{
			name: "no active service",
			file: "services: {web: {image: w, profiles: [dev]}}",
			want: "error: no service selected",
		},
		{
			name:    "unknown service",
			file:    webAndDB,
			options: Options{Services: []string{"x"}},
			want:    "error: no such service: x",
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestUpScale(t *testing.T) {
	web := func(n string) string { return "services: {web: {image: w, scale: " + n + "}}" }
	for _, r := range []upRow{
		{
			name: "up: numbers after the highest in use, and nothing replaced",
			file: web("4"),
			live: "web-1 running\nweb-3 running",
			want: `
				1 create web-4 (scaled to 4)
				2 create web-5 (scaled to 4)
				3 start web-4 (scaled to 4) <1
				4 start web-5 (scaled to 4) <2
				= shop-web-1
				= shop-web-3`,
		},
		{
			name: "down: highest numbers first",
			file: web("1"),
			live: "web-1 running\nweb-2 exited\nweb-3 running",
			want: `
				1 stop web-3 (scaled to 1)
				2 remove web-3 (scaled to 1) <1
				3 remove web-2 (scaled to 1)
				= shop-web-1`,
		},
		{
			name: "down: outdated ones before those",
			file: web("1"),
			live: "web-1 exited old\nweb-2 running\nweb-3 exited",
			want: `
				1 remove web-1 (scaled to 1)
				2 remove web-3 (scaled to 1)
				= shop-web-2`,
		},
		{
			name:    "the command line wins; to 0",
			file:    web("3"),
			live:    "web-1 exited",
			options: Options{Scale: map[string]int{"web": 0}},
			want:    "1 remove web-1 (scaled to 0)",
		},
		{
			name: "ten come after nine",
			file: web("1"),
			live: "web-10 exited\nweb-9 running",
			want: `
				1 remove web-10 (scaled to 1)
				= shop-web-9`,
		},
		{
			name: "nobody waits for a service scaled to 0",
			file: "services: {web: {image: w, depends_on: {db: {condition: service_healthy}}}, db: {image: d, scale: 0, healthcheck: {test: [CMD, t]}}}",
			live: "web-1 exited",
			want: "1 start web-1 (exited (0))",
		},
		{
			name:    "a custom name is for one",
			file:    "services: {web: {image: w, container_name: me}}",
			options: Options{Scale: map[string]int{"web": 2}},
			want:    `error: service "web" is using the custom container name "me", which only one container can have: it cannot be scaled to 2`,
		},
		{
			name:    "not below 0",
			file:    web("1"),
			options: Options{Scale: map[string]int{"web": -1}},
			want:    `error: service "web": scale must not be negative`,
		},
		{
			name:    "unknown",
			file:    web("1"),
			options: Options{Scale: map[string]int{"x": 1}},
			want:    `error: no such service: x: not found`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestScaleReplacesNothing(t *testing.T) {
	p := load(t, "services: {web: {image: w}, db: {image: d}}")
	w := newWorld(p)
	w.populate(t, "web-1 running old\nweb-2 running\ndb-1 exited old")
	plan, _, err := Scale(p, w.live(), Options{Scale: map[string]int{"web": 3}})
	if err != nil {
		t.Fatal(err)
	}
	want := unindent(`
		1 create web-3 (scaled to 3)
		2 start web-3 (scaled to 3) <1`)
	if got := show(plan); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestUpConditions(t *testing.T) {
	const file = `
services:
  web: {image: w, depends_on: {db: {condition: service_healthy}, job: {condition: service_completed_successfully}}}
  api: {image: a, depends_on: {db: {condition: service_healthy, required: false}}}
  job: {image: j}
  db: {image: d, scale: 2, healthcheck: {test: [CMD, t]}}
`
	for _, r := range []upRow{
		{
			name: "each replica is waited for, once for all who do",
			file: file,
			live: "db-1 created\ndb-2 running health=starting\nweb-1 created\napi-1 created\njob-1 exited",
			want: `
				1 start db-1 (created)
				2 wait until healthy: db-1 (for api, web) <1
				3 wait until healthy: db-2 (for api, web)
				4 start api-1 (created) ~2,3
				5 start job-1 (exited (0))
				6 wait until completed: job-1 (for web) <5
				7 start web-1 (created) <2,3,6
				= shop-db-2`,
		},
		{
			name: "nothing starts: nothing is waited for",
			file: file,
			live: "db-1 running health=unhealthy\ndb-2 running health=starting\nweb-1 running\napi-1 running\njob-1 running",
			want: `
				= shop-db-1
				= shop-db-2
				= shop-api-1
				= shop-job-1
				= shop-web-1`,
		},
		{
			name: "what is met is not waited for",
			file: file,
			live: "db-1 running health=healthy\ndb-2 running health=healthy\nweb-1 running\napi-1 created\njob-1 running",
			want: `
				1 start api-1 (created)
				= shop-db-1
				= shop-db-2
				= shop-job-1
				= shop-web-1`,
		},
		{
			name: "an optional dependency may fail in all it does",
			file: "services: {web: {image: w, depends_on: {db: {condition: service_healthy, required: false}}}, db: {image: d, healthcheck: {test: [CMD, t]}}}",
			want: `
				1 create network shop_default (new)
				2 create db-1 (new) <1 ?
				3 create web-1 (new) <1
				4 start db-1 (new) <2 ?
				5 wait until healthy: db-1 (for web) <4 ?
				6 start web-1 (new) <3 ~5`,
		},
		{
			name:    "--wait waits for all that is not ready",
			file:    file,
			live:    "db-1 running health=healthy\ndb-2 running health=starting\nweb-1 running\napi-1 created\njob-1 running",
			options: Options{Wait: true},
			want: `
				1 wait until healthy: db-2 (for api)
				2 start api-1 (created) ~1
				3 wait until ready: api-1 (--wait) <2
				4 wait until completed: job-1 (for --wait)
				= shop-db-1
				= shop-db-2
				= shop-job-1
				= shop-web-1`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestUpRestartsDependents(t *testing.T) {
	const file = `
services:
  web: {image: w, depends_on: {app: {condition: service_started, restart: true}}}
  app: {image: a, depends_on: {db: {condition: service_started, restart: true}}}
  log: {image: l, depends_on: [db]}
  db: {image: d}
`
	for _, r := range []upRow{
		{
			name: "when the dependency is replaced, and those of these",
			file: file,
			live: "db-1 running old\napp-1 running\nweb-1 running\nlog-1 running",
			want: `
				1 create db-1 (configuration changed)
				2 stop web-1 (app is restarted)
				3 stop app-1 (db is replaced) <2
				4 stop old db-1 (replaced) <1,3
				5 remove old db-1 (replaced) <1,4 !
				6 start db-1 (replaced) <1,5 !
				7 start app-1 (db is replaced) <3,6 !
				8 start web-1 (app is restarted) <2,7 !
				= shop-log-1`,
		},
		{
			name: "not when it only starts",
			file: file,
			live: "db-1 exited\napp-1 running\nweb-1 running\nlog-1 running",
			want: `
				1 start db-1 (exited (0))
				= shop-app-1
				= shop-log-1
				= shop-web-1`,
		},
		{
			name:    "those that are not named, too",
			file:    file,
			live:    "db-1 running old\napp-1 running\nlog-1 exited",
			options: Options{Services: []string{"db"}},
			want: `
				1 create db-1 (configuration changed)
				2 stop app-1 (db is replaced)
				3 stop old db-1 (replaced) <1,2
				4 remove old db-1 (replaced) <1,3 !
				5 start db-1 (replaced) <1,4 !
				6 start app-1 (db is replaced) <2,5 !`,
		},
		{
			name:    "but with --no-deps",
			file:    file,
			live:    "db-1 exited old\napp-1 running",
			options: Options{Services: []string{"db"}, NoDeps: true},
			want: `
				1 create db-1 (configuration changed)
				2 remove old db-1 (replaced) <1
				3 start db-1 (replaced) <1,2`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestUpSharedNamespaces(t *testing.T) {
	const file = "services: {side: {image: s, network_mode: 'service:web'}, web: {image: w}}"
	for _, r := range []upRow{
		{
			name: "the owner is made first",
			file: file,
			want: `
				1 create network shop_default (new)
				2 create web-1 (new) <1
				3 create side-1 (new) <2
				4 start web-1 (new) <2
				5 start side-1 (new) <3,4`,
		},
		{
			name: "the owner is replaced: so is who lives in it",
			file: file,
			live: "web-1 running old id=w\nside-1 running shares=w",
			want: `
				1 create web-1 (configuration changed)
				2 create side-1 (web is replaced) <1
				3 stop old side-1 (replaced) <2
				4 stop old web-1 (replaced) <1,3
				5 remove old web-1 (replaced) <1,4 !
				6 remove old side-1 (replaced) <2,3 !
				7 start web-1 (replaced) <1,5 !
				8 start side-1 (replaced) <2,6,7 !`,
		},
		{
			name: "it was, in a run that was cut short",
			file: file,
			live: "web-1 running id=w2\nside-1 exited shares=w1",
			want: `
				1 create side-1 (web was replaced)
				2 remove old side-1 (replaced) <1
				3 start side-1 (replaced) <1,2
				= shop-web-1`,
		},
		{
			name:    "who is not named follows",
			file:    file,
			live:    "web-1 exited old id=w\nside-1 exited shares=w",
			options: Options{Services: []string{"web"}},
			want: `
				1 create web-1 (configuration changed)
				2 create side-1 (web is replaced) <1
				3 remove old web-1 (replaced) <1
				4 remove old side-1 (replaced) <2
				5 start web-1 (replaced) <1,3`,
		},
		{
			name: "volumes_from: the owner has other volumes now",
			file: "services: {side: {image: s, volumes_from: [web]}, web: {image: w}}",
			live: "web-1 running anon=v2\nside-1 exited anon=v1",
			want: `
				1 create side-1 (web was replaced)
				2 remove old side-1 (replaced) <1
				3 start side-1 (replaced) <1,2
				= shop-web-1`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestUpResources(t *testing.T) {
	const file = `
services:
  web: {image: w, networks: [front], volumes: ['data:/d'], depends_on: [db]}
  db: {image: d, networks: [back]}
networks: {front: {}, back: {}}
volumes: {data: {}}
`
	for _, r := range []upRow{
		{
			name: "each is there before who uses it is made",
			file: file,
			want: `
				1 create network shop_back (new)
				2 create network shop_front (new)
				3 create volume shop_data (new)
				4 create db-1 (new) <1
				5 create web-1 (new) <2,3
				6 start db-1 (new) <4
				7 start web-1 (new) <5,6`,
		},
		{
			name: "not on its network, volume not mounted",
			file: file,
			live: "web-1 exited mounts=other\ndb-1 exited on=shop_front",
			want: `
				1 create db-1 (not on network shop_back)
				2 create web-1 (volume shop_data is not mounted)
				3 remove old db-1 (replaced) <1
				4 remove old web-1 (replaced) <2
				5 start db-1 (replaced) <1,3
				6 start web-1 (replaced) <2,4,5`,
		},
		{
			name: "on more networks than the file says is fine",
			file: file,
			live: "web-1 running\ndb-1 running on=shop_front,shop_back",
			want: `
				= shop-db-1
				= shop-web-1`,
		},
		{
			name: "a record is missing",
			file: file,
			live: "web-1 running\ndb-1 exited\nno network shop_back",
			want: `
				1 create network shop_back (new)
				2 create db-1 (network shop_back was missing) <1
				3 remove old db-1 (replaced) <2
				4 start db-1 (replaced) <2,3
				= shop-web-1`,
		},
		{
			name: "the network was made anew with another subnet",
			file: file,
			live: "web-1 running\ndb-1 exited subnet=192.168.7.2/24",
			want: `
				1 create db-1 (network shop_back was replaced)
				2 remove old db-1 (replaced) <1
				3 start db-1 (replaced) <1,2
				= shop-web-1`,
		},
		{
			name: "a changed network: all on it stop, after those that depend on them",
			file: file,
			live: "web-1 running old\ndb-1 running\nchanged network shop_back",
			want: `
				1 create web-1 (configuration changed)
				2 stop old web-1 (replaced)
				3 stop old db-1 (replaced) <2
				4 replace network shop_back (configuration changed) <3
				5 create db-1 (network shop_back changed) <4
				6 remove old db-1 (replaced) <3,5 !
				7 remove old web-1 (replaced) <1,2 !
				8 start db-1 (replaced) <5,6 !
				9 start web-1 (replaced) <1,7,8 !`,
		},
		{
			name: "a network whose subnet somebody else has taken",
			file: file,
			live: "web-1 running\ndb-1 exited\ndisplaced network shop_back",
			want: `
				1 replace network shop_back (its subnet was taken)
				2 create db-1 (network shop_back changed) <1
				3 remove old db-1 (replaced) <2
				4 start db-1 (replaced) <2,3
				= shop-web-1`,
		},
		{
			name:    "a changed network with --no-recreate stays",
			file:    file,
			live:    "web-1 running\ndb-1 running\nchanged network shop_back",
			options: Options{NoRecreate: true},
			want: `
				= shop-db-1
				= shop-web-1`,
		},
		{
			name: "a changed volume keeps its data unless the user says so",
			file: file,
			live: "web-1 running\ndb-1 running\nchanged volume shop_data",
			want: `
				= shop-db-1
				= shop-web-1
				! volume "shop_data" exists but doesn't match configuration in compose file: it is kept as it is (up --yes recreates it, and its data is lost)`,
		},
		{
			name:    "and then is made anew",
			file:    file,
			live:    "web-1 running\ndb-1 running\nchanged volume shop_data",
			options: Options{ReplaceVolumes: []string{"shop_data"}},
			want: `
				1 stop old web-1 (replaced)
				2 replace volume shop_data (configuration changed) <1
				3 create web-1 (volume shop_data changed) <2
				4 remove old web-1 (replaced) <1,3 !
				5 start web-1 (replaced) <3,4 !
				= shop-db-1`,
		},
		{
			name: "foreign ones are used as they are",
			file: file,
			live: "web-1 running\ndb-1 running\nforeign volume shop_data\nforeign network shop_back",
			want: "= shop-db-1\n= shop-web-1\n" +
				"! a network with name shop_back exists but was not created for project \"shop\". Use `external: true` to use an existing network\n" +
				"! volume \"shop_data\" already exists but was not created for project \"shop\". Use `external: true` to use an existing volume",
		},
		{
			name: "external network that is not there",
			file: "services: {web: {image: w, networks: [n]}}\nnetworks: {n: {external: true, name: lan}}",
			want: "error: network lan declared as external, but could not be found",
		},
		{
			name: "external volume that is not there",
			file: "services: {web: {image: w, volumes: ['vol:/v']}}\nvolumes: {vol: {external: true, name: disk}}",
			want: `error: external volume "disk" not found`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestUpAfterAnInterruptedRun(t *testing.T) {
	const file = "services: {web: {image: w}}"
	for _, r := range []upRow{
		{
			name: "two of one number, the younger is right: the older goes",
			file: file,
			live: "web-1 running old id=a\nweb-1 created id=b replaces=a",
			want: `
				1 stop old web-1 (left over from an interrupted run)
				2 remove old web-1 (left over from an interrupted run) <1 !
				3 start web-1 (created) <2 !`,
		},
		{
			name: "both are right: the younger stays",
			file: file,
			live: "web-1 exited id=a\nweb-1 created id=b replaces=a",
			want: `
				1 remove old web-1 (left over from an interrupted run)
				2 start web-1 (created) <1`,
		},
		{
			name: "the file is back as it was: the older stays",
			file: file,
			live: "web-1 running id=a\nweb-1 created old id=b replaces=a",
			want: `
				1 remove old web-1 (left over from an interrupted run)
				= shop-web-1`,
		},
		{
			name: "neither is right: both go, after the third is made",
			file: file,
			live: "web-1 running old id=a\nweb-1 created old id=b replaces=a",
			want: `
				1 create web-1 (configuration changed)
				2 stop old web-1 (left over from an interrupted run) <1
				3 remove old web-1 (replaced) <1
				4 remove old web-1 (left over from an interrupted run) <1,2 !
				5 start web-1 (replaced) <1,3,4 !`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestUpOrphans(t *testing.T) {
	const file = "services: {web: {image: w}, dev: {image: d, profiles: [dev]}}"
	const live = "web-1 running\ngone-1 running needs=lost:service_started\nlost-1 running\ndev-1 running\nweb-run-a exited oneoff\nweb-run-b running oneoff"
	for _, r := range []upRow{
		{
			name: "a warning names them; inactive services have none",
			file: file,
			live: live,
			want: `
				= shop-web-1
				! Found orphan containers (shop-gone-1, shop-lost-1, shop-web-run-a) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.`,
		},
		{
			name:    "the warning can be off",
			file:    file,
			live:    live,
			options: Options{IgnoreOrphans: true},
			want:    "= shop-web-1",
		},
		{
			name:    "or they go, dependents first, and before anything starts",
			file:    file,
			live:    live + "\nweb-1 exited old",
			options: Options{RemoveOrphans: true, Scale: map[string]int{"web": 2}},
			want: `
				1 create web-2 (scaled to 2)
				2 stop gone-1 (orphan)
				3 stop lost-1 (orphan) <2
				4 remove old web-1 (left over from an interrupted run)
				5 remove gone-1 (orphan) <2
				6 remove lost-1 (orphan) <3
				7 remove shop-web-run-a (orphan)
				8 start web-2 (scaled to 2) <1,5,6,7
				= shop-web-1`,
		},
	} {
		t.Run(r.name, r.run)
	}
}

func TestAnonymousVolumesMove(t *testing.T) {
	for _, tt := range []struct {
		name, file, live string
		options          Options
		want             string
	}{
		{"to the new container", "services: {web: {image: w}}", "web-1 exited old anon=v", Options{}, "v"},
		{"not with -V", "services: {web: {image: w}}", "web-1 exited old anon=v", Options{RenewAnonVolumes: true}, ""},
		{"-V alone is a reason", "services: {web: {image: w}}", "web-1 exited anon=v", Options{RenewAnonVolumes: true}, ""},
		{"not those of another service", "services: {web: {image: w, volumes_from: [db]}, db: {image: d}}",
			"web-1 exited old anon=theirs anon=own\ndb-1 running anon=theirs", Options{}, "own"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t, tt.file)
			w := newWorld(p)
			w.populate(t, tt.live)
			plan, _, err := Up(p, w.live(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range plan.Nodes {
				if s, ok := n.Step.(CreateContainer); ok {
					var got []string
					for _, m := range s.Inherit {
						got = append(got, m.Name)
					}
					if g := strings.Join(got, " "); g != tt.want {
						t.Errorf("got %q, want %q", g, tt.want)
					}
					return
				}
			}
			t.Error("nothing is created")
		})
	}
}

func TestOneOff(t *testing.T) {
	const file = "services: {web: {image: w, depends_on: {db: {condition: service_healthy}}}, db: {image: d, healthcheck: {test: [CMD, t]}}}"
	for _, tt := range []struct {
		name, live string
		options    Options
		want       string
	}{
		{"its dependencies run, it is left alone", "web-1 exited old\ndb-1 exited", Options{}, `
			1 start db-1 (exited (0))
			2 wait until healthy: db-1 (for web) <1`},
		{"all is there", "db-1 running health=healthy", Options{}, ""},
		{"without dependencies its networks are still made", "", Options{NoDeps: true}, "1 create network shop_default (new)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t, file)
			w := newWorld(p)
			w.populate(t, tt.live)
			plan, _, err := OneOff(p, w.live(), "web", tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := show(plan), unindent(tt.want); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
