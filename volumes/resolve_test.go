package volumes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/compose-first/compose/project"
)

// parse loads a Compose file whose folder is /shop.
func parse(t *testing.T, yaml string) *project.Project {
	t.Helper()
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "/shop",
		Environment: types.Mapping{"HOME": "/home/me"},
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(yaml)}},
	}, func(o *loader.Options) {
		o.SetProjectName("shop", true)
		o.ResolvePaths = true
		o.SkipConsistencyCheck = true
	})
	if err != nil {
		t.Fatal(err)
	}
	return &project.Project{Project: p}
}

// web is a file with one service.
func web(keys string) string {
	return "services:\n  web:\n    image: x\n" + indent(keys) +
		"  db: {image: y}\nvolumes:\n  data:\n  named: {name: other}\n  ext: {external: true, name: theirs}\n"
}

func indent(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString("    " + line)
	}
	return b.String() + "\n"
}

// show is one line a mount.
func show(wants []Want, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for _, w := range wants {
		i := w.Info
		what := i.Type
		if i.Anonymous {
			what = "anonymous"
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s%s %s [%s]", what, i.Name, i.Source, i.Target, strings.Join(i.Options, " "))))
	}
	return strings.Join(all, "\n")
}

func TestResolve(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	from := map[string][]project.MountInfo{
		"db": {
			{Type: TypeVolume, Name: "shop_data", Target: "/a"},
			{Type: TypeVolume, Name: "anon", Target: "/b", Anonymous: true},
			{Type: TypeTmpfs, Target: "/t"},
		},
		"container:old": {{Type: TypeBind, Source: "/src", Target: "/b", Options: []string{"ro", "rslave"}}},
	}
	inherit := []project.MountInfo{
		{Type: TypeVolume, Name: "kept", Target: "/v", Anonymous: true},
		{Type: TypeVolume, Name: "shop_data", Target: "/n"},
	}
	for _, tt := range []struct{ name, keys, image, want string }{
		{"named, by key, by its own name, external", "volumes: ['data:/d', 'named:/n', 'ext:/e:ro']", "",
			"volume shop_data /d []\nvolume theirs /e [ro]\nvolume other /n []"},
		{"anonymous ones keep the name of the container before", "volumes: ['/v', '/w']", "", "anonymous kept /v []\nanonymous  /w []"},
		{"a named volume of the container before is none of that", "volumes: ['/n']", "", "anonymous  /n []"},
		{"the image's volumes, but where something else is mounted", "volumes: ['data:/d/']\ntmpfs: /t", "/d /t/ v x/../y",
			"volume shop_data /d []\ntmpfs  /t [nosuid nodev noexec]\nanonymous kept /v []\nanonymous  /y []"},
		{"short binds: relative, home, absolute; made when missing", "volumes: ['./src:/s', '~/x:/x:ro,rshared', '/abs/../etc:/e:z']", "",
			"bind /etc /e [create z]\nbind /shop/src /s [create]\nbind /home/me/x /x [ro create rshared]"},
		{"a long bind is made when missing too, unless it says otherwise", "volumes:\n- {type: bind, source: ./a, target: /a}\n- {type: bind, source: ./b, target: /b, bind: {create_host_path: false, recursive: disabled}}", "",
			"bind /shop/a /a [create]\nbind /shop/b /b [recursive=disabled]"},
		{"outer targets first", "volumes: ['data:/a/b/c', './x:/a', 'named:/a/b']\ntmpfs: ['/a/b/c/d']", "/",
			"bind /shop/x /a [create]\nvolume other /a/b []\nvolume shop_data /a/b/c []\ntmpfs  /a/b/c/d [nosuid nodev noexec]"},
		{"tmpfs: defaults, options, opposites", "tmpfs: ['/a', '/b:size=64m,mode=770,uid=5,exec', '/c:ro,suid,dev']", "",
			"tmpfs  /a [nosuid nodev noexec]\ntmpfs  /b [nosuid nodev size=64m mode=770 uid=5 exec]\ntmpfs  /c [noexec ro suid dev]"},
		{"long tmpfs", "volumes:\n- {type: tmpfs, target: /a, tmpfs: {size: 1m, mode: 0o700}}\n- {type: tmpfs, target: /b, read_only: true}", "",
			"tmpfs  /a [nosuid nodev noexec size=1048576 mode=0700]\ntmpfs  /b [nosuid nodev noexec ro mode=1777]"},
		{"nocopy and subpath", "volumes:\n- {type: volume, source: data, target: /a, volume: {nocopy: true, subpath: x/./y}}", "",
			"volume shop_data /a [nocopy subpath=x/y]"},
		{"an image, and that of a service", "volumes:\n- {type: image, source: 'busybox:1', target: /a, image: {subpath: bin}}\n- {type: image, source: db, target: /b}", "",
			"image busybox:1 /a [ro subpath=bin]\nimage y /b [ro]"},
		{"volumes_from: the later wins, own ones win over both, a tmpfs is not shared", "volumes_from: ['db:ro', 'container:old']\nvolumes: ['named:/a']", "",
			"volume other /a []\nbind /src /b [ro rslave]"},
		{"volumes_from shares anonymous ones", "volumes_from: [db]", "/b", "volume shop_data /a []\nanonymous anon /b []"},

		{"a target twice, once as tmpfs", "volumes: ['data:/d']\ntmpfs: /d", "", "error: services.web.tmpfs[0]: target /d is already that of services.web.volumes[0]"},
		{"an unknown volume", "volumes: ['nope:/d']", "", `error: services.web.volumes[0]: volume "nope" is not defined in volumes`},
		{"the root", "volumes: ['data:/x/..']", "", "error: services.web.volumes[0]: target cannot be /"},
		{"a relative target", "volumes:\n- {type: volume, source: data, target: x}", "", `error: services.web.volumes[0]: target "x" is not an absolute path`},
		{"an unknown tmpfs option", "tmpfs: ['/a:sise=1']", "", `error: services.web.tmpfs[0]: unknown tmpfs option "sise=1"`},
		{"a tmpfs option with a bad value", "tmpfs: ['/a:mode=999']", "", `error: services.web.tmpfs[0]: tmpfs option "mode=999": strconv.ParseUint: parsing "999": invalid syntax`},
		{"a tmpfs with a source", "volumes:\n- {type: tmpfs, source: x, target: /a}", "", `error: services.web.volumes[0]: a tmpfs has no source, not "x"`},
		{"a subpath that leads out", "volumes:\n- {type: volume, source: data, target: /a, volume: {subpath: ../x}}", "", `error: services.web.volumes[0]: subpath "../x" leads out of the volume`},
		{"an unknown propagation", "volumes:\n- {type: bind, source: /a, target: /a, bind: {propagation: both}}", "",
			`error: services.web.volumes[0]: bind.propagation: unknown mode "both": there are rprivate, private, rshared, shared, rslave, slave`},
		{"a type of another platform", "volumes:\n- {type: npipe, source: x, target: /a}", "", `error: services.web.volumes[0]: type "npipe" cannot be mounted on this platform`},
		{"volumes_from of nobody", "volumes_from: ['container:gone']", "", "error: services.web.volumes_from[0]: no container of container:gone is there"},
		{"volumes_from with another access", "volumes_from: ['db:rx']", "", `error: services.web.volumes_from[0]: "db:rx": access is ro or rw, not "rx"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := show(Resolve(parse(t, web(tt.keys)), "web", strings.Fields(tt.image), inherit, from))
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestFrom(t *testing.T) {
	p := parse(t, web("volumes_from: ['db:ro', 'container:x:rw', 'db']"))
	if got := strings.Join(From(p, "web"), " "); got != "db container:x" {
		t.Errorf("got %s", got)
	}
}

func TestDefine(t *testing.T) {
	for _, tt := range []struct {
		name string
		def  types.VolumeConfig
		want string
	}{
		{"plain", types.VolumeConfig{}, "shop_data local map[] "},
		{"its own name", types.VolumeConfig{Name: "other", Driver: "local"}, "other local map[] "},
		{"external", types.VolumeConfig{Name: "theirs", External: true}, "theirs local map[] external"},
		{"a device", types.VolumeConfig{DriverOpts: types.Options{"type": "tmpfs", "o": "size=1m", "device": "tmpfs"}}, "shop_data local map[device:tmpfs o:size=1m type:tmpfs] "},
		{"another driver", types.VolumeConfig{Driver: "nfs"}, `error: volumes.data.driver: "nfs" is not supported: the driver is "local"`},
		{"an external one with options", types.VolumeConfig{External: true, Driver: "local"}, "error: volumes.data.external: an external volume has no key besides name"},
		{"an unknown option", types.VolumeConfig{DriverOpts: types.Options{"size": "1"}}, `error: volumes.data.driver_opts: unknown option "size": there are type, o and device`},
		{"half of the options", types.VolumeConfig{DriverOpts: types.Options{"type": "nfs"}}, "error: volumes.data.driver_opts: device is missing"},
		{"a relative folder", types.VolumeConfig{DriverOpts: types.Options{"type": "none", "o": "rw,bind", "device": "x"}}, `error: volumes.data.driver_opts: device: "x" is not an absolute path`},
		{"a name that is a path", types.VolumeConfig{Name: "../x"}, `error: volumes.data.name: invalid volume name "../x": letters, digits, _, . and - only, the first a letter or digit, at most 255`},
		{"a name that begins with a dot", types.VolumeConfig{Name: ".x"}, `error: volumes.data.name: invalid volume name ".x": letters, digits, _, . and - only, the first a letter or digit, at most 255`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := Define("shop", "data", tt.def)
			got := fmt.Sprintf("%s %s %v ", v.Name, v.Driver, v.Options)
			if v.External {
				got += "external"
			}
			if err != nil {
				got = "error: " + err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
}
