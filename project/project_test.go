package project

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

func mustLoad(t testing.TB, text string, change ...func(*Options)) *Project {
	t.Helper()
	p, dir, err := load(t, text, change...)
	if err != nil {
		t.Fatal(show(err, dir))
	}
	return p
}

func TestDependencies(t *testing.T) {
	p := mustLoad(t, `
services:
  web: {image: x, depends_on: {db: {condition: service_healthy, restart: true}, gone: {condition: service_started, required: false}}, links: [cache, db]}
  job: {image: x, depends_on: {db: {condition: service_completed_successfully, required: false}}}
  side: {image: x, network_mode: "service:web", ipc: "service:cache", pid: "service:db"}
  data: {image: x, volumes_from: [web:ro, "container:other"]}
  cache: {image: x}
  db: {image: x}
  gone: {image: x, profiles: [pp]}
`)
	for _, tt := range []struct{ service, needs, neededBy, all string }{
		{"web", "cache:service_started:restart db:service_healthy:restart", "data side", "cache db web"},
		{"job", "db:service_completed_successfully:optional", "", "db job"},
		{"side", "cache:service_started:restart db:service_started:restart web:service_started:restart", "", "cache db side web"},
		{"data", "web:service_started", "", "cache data db web"},
		{"db", "", "job side web", "db"},
	} {
		t.Run(tt.service, func(t *testing.T) {
			var needs []string
			for _, d := range p.Dependencies(tt.service) {
				word := d.Service + ":" + d.Condition
				if d.Restart {
					word += ":restart"
				}
				if !d.Required {
					word += ":optional"
				}
				needs = append(needs, word)
			}
			if got := strings.Join(needs, " "); got != tt.needs {
				t.Errorf("needs %s, want %s", got, tt.needs)
			}
			if got := strings.Join(p.Dependents(tt.service), " "); got != tt.neededBy {
				t.Errorf("needed by %s, want %s", got, tt.neededBy)
			}
			if got := strings.Join(p.WithDependencies(tt.service), " "); got != tt.all {
				t.Errorf("with dependencies %s, want %s", got, tt.all)
			}
		})
	}
	if got := strings.Join(p.WithDependencies(), " "); got != "cache data db job side web" {
		t.Errorf("all: %s", got)
	}
}

// A dense graph has a number of ways that no one can walk.
func TestCycleCheckIsLinear(t *testing.T) {
	services := types.Services{}
	for i := range 2000 {
		s := types.ServiceConfig{Name: fmt.Sprintf("s%04d", i)}
		s.DependsOn = types.DependsOnConfig{}
		for j := max(0, i-20); j < i; j++ {
			s.DependsOn[fmt.Sprintf("s%04d", j)] = types.ServiceDependency{}
		}
		services[s.Name] = s
	}
	if cycle := newGraph(services).findCycle(); cycle != nil {
		t.Errorf("got %v", cycle)
	}
}

const hashed = `
services:
  a:
    image: x
    environment: {A: "1", B: "2"}
    ports: ["80:80", "81:81"]
    deploy: {replicas: 2}
`

func TestHash(t *testing.T) {
	base := mustLoad(t, hashed).Hashes["a"]
	if want := "baa91e8c2730bb9f16a80f3127c67fde61f8d7cb1a13b32afc84acf993878e0b"; base != want {
		t.Errorf("the known hash changed: every container would be replaced\ngot  %s\nwant %s", base, want)
	}
	for _, tt := range []struct {
		name, old, new string
		same           bool
	}{
		{"key order", `environment: {A: "1", B: "2"}`, `environment: {B: "2", A: "1"}`, true},
		{"list or mapping", `environment: {A: "1", B: "2"}`, `environment: [A=1, B=2]`, true},
		{"white space", "image: x", "image:     'x'  # c", true},
		{"replicas", "replicas: 2", "replicas: 3", true},
		{"scale", "image: x", "image: x\n    scale: 2", true},
		{"build", "image: x", "image: x\n    build: .", true},
		{"pull policy", "image: x", "image: x\n    pull_policy: always", true},
		{"dependencies", "services:\n  a:\n", "services:\n  b: {image: x}\n  a:\n    depends_on: [b]\n", true},
		{"profiles", "image: x", "image: x\n    profiles: [more]", true},
		{"an env file with the same content", `environment: {A: "1", B: "2"}`, "env_file: same.env", true},
		{"an env file with another", `environment: {A: "1", B: "2"}`, "env_file: other.env", false},
		{"the image", "image: x", "image: y", false},
		{"a value", `A: "1"`, `A: "3"`, false},
		{"an empty value is one", `A: "1"`, `A: ""`, false},
		{"order of ports", `"80:80", "81:81"`, `"81:81", "80:80"`, false},
		{"an empty command is one", "image: x", "image: x\n    command: []", false},
		{"a label", "image: x", "image: x\n    labels: [l]", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(hashed, tt.old, tt.new, 1) + "-- same.env --\nA=1\nB=2\n-- other.env --\nA=1\nB=3\n"
			p := mustLoad(t, text, func(o *Options) { o.Profiles = []string{"more"} })
			if got := p.Hashes["a"]; (got == base) != tt.same {
				t.Errorf("hash equal: %t, want %t", got == base, tt.same)
			}
		})
	}
}

// A field that compose-go adds to a service must be hashed or left out on
// purpose: setting any one of the others changes the hash.
func TestEveryFieldIsHashed(t *testing.T) {
	out := strings.Fields(`name profiles develop scale provider extends build depends_on dockerfile pull_policy
		pull_refresh_after env_file label_file deploy #extensions`)
	p := &Project{Project: &types.Project{}}
	empty := p.serviceHash(types.ServiceConfig{})
	for key, at := range fieldsOf(reflect.TypeFor[types.ServiceConfig]()) {
		if slices.Contains(out, key) {
			continue
		}
		s := reflect.New(reflect.TypeFor[types.ServiceConfig]())
		fill(s.Elem().FieldByIndex(at))
		if p.serviceHash(s.Elem().Interface().(types.ServiceConfig)) == empty {
			t.Errorf("key %s is not hashed", key)
		}
	}
}

// fill sets v, and all below it, to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && v.Type().Field(i).Type != reflect.TypeFor[types.Extensions]() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(1)
	default:
		switch {
		case v.CanInt():
			v.SetInt(1)
		case v.CanUint():
			v.SetUint(1)
		}
	}
}

func TestNetworkAndVolumeHash(t *testing.T) {
	hashes := func(network, volume string) (string, string) {
		p := mustLoad(t, "services: {a: {image: x, networks: [n], volumes: ['vol:/v']}}\nnetworks: {n: {"+network+"}}\nvolumes: {vol: {"+volume+"}}\n")
		return p.NetworkHash("n"), p.VolumeHash("vol")
	}
	n, v := hashes("", "")
	if n2, v2 := hashes("driver: bridge", "driver: local"); n2 != n || v2 != v {
		t.Error("defaults that are spelled out change the hash")
	}
	if n2, v2 := hashes("internal: true", "driver_opts: {type: tmpfs}"); n2 == n || v2 == v {
		t.Error("a changed definition does not change the hash")
	}
}

func TestNames(t *testing.T) {
	const file = "services: {web: {build: .}, one: {image: x, container_name: the-one}}\nnetworks: {n: , o: {external: true}, m: {name: mine}}\nvolumes: {vol: , o: {external: true}}\n"
	for _, compat := range []bool{false, true} {
		p := mustLoad(t, file, func(o *Options) { o.AllResources, o.Compatibility = true, compat })
		want := "shop-web-2 the-one shop-web x shop_n o mine shop_vol o"
		if compat {
			want = "shop_web_2 the-one shop_web x shop_n o mine shop_vol o"
		}
		got := strings.Join([]string{
			p.ContainerName("web", 2), p.ContainerName("one", 1), p.ImageName("web"), p.ImageName("one"),
			p.NetworkName("n"), p.NetworkName("o"), p.NetworkName("m"), p.VolumeName("vol"), p.VolumeName("o"),
		}, " ")
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestContainerLabels(t *testing.T) {
	p := mustLoad(t, "services:\n  web: {image: x, labels: {a: b}, depends_on: {db: {condition: service_healthy, restart: true}}}\n  db: {image: x}\n")
	got := p.ContainerLabels("web")
	want := map[string]string{
		"a": "b", LabelProject: "shop", LabelService: "web", LabelConfigHash: p.Hashes["web"],
		LabelDependsOn: "db:service_healthy:true", LabelWorkingDir: p.WorkingDir,
		LabelConfigFiles: filepath.Join(p.WorkingDir, "compose.yaml"), LabelVersion: Version,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// The rows are keys of a service "a", and fields of its Record as JSON.
func TestRecord(t *testing.T) {
	for _, tt := range []struct{ name, keys, field, want string }{
		{"defaults", "", "Restart", `{"name":"no"}`},
		{"defaults", "", "StopGrace", `10000000000`},
		{"defaults", "", "Log", `{"driver":"json-file"}`},
		{"defaults", "", "Attach", `true`},
		{"defaults", "", "Health", `null`},
		{"the default network", "", "Networks", `[{"network":"shop_default","interface":"eth0","address":"","address6":"","gateway":true}]`},
		{"priority orders, gw_priority routes, internal never", "networks: {n1: , n2: {priority: 5, aliases: [w]}, n3: {gw_priority: 9, ipv4_address: 10.3.0.9}}/mac_address: 02:00:00:00:00:01#networks: {n1: , n2: , n3: {internal: true, ipam: {config: [{subnet: 10.3.0.0/24}]}}}", "Networks",
			`[{"network":"shop_n2","interface":"eth0","address":"","address6":"","mac":"02:00:00:00:00:01","aliases":["w"]},{"network":"shop_n1","interface":"eth1","address":"","address6":"","gateway":true},{"network":"shop_n3","interface":"eth2","address":"10.3.0.9/32","address6":""}]`},
		{"no network", "network_mode: none", "NetworkMode", `"none"`},
		{"no network", "network_mode: none", "Networks", `null`},
		{"another's network", "network_mode: 'service:b'#services: {b: {image: x}}", "NetworkMode", `"service:b"`},
		{"short ports", "ports: [80, '81:81/udp', '127.0.0.1:9000-9001:90-91']", "Ports",
			`[{"host_ip":"","published":0,"target":80,"protocol":"tcp"},{"host_ip":"","published":81,"target":81,"protocol":"udp"},{"host_ip":"127.0.0.1","published":9000,"target":90,"protocol":"tcp"},{"host_ip":"127.0.0.1","published":9001,"target":91,"protocol":"tcp"}]`},
		{"a range to choose from", "ports: ['8000-8010:80']", "Ports", `[{"host_ip":"","published":8000,"published_end":8010,"target":80,"protocol":"tcp"}]`},
		{"an IPv6 address", "ports: ['[::1]:80:80']", "Ports", `[{"host_ip":"::1","published":80,"target":80,"protocol":"tcp"}]`},
		{"a port of the host alone", "ports: [{target: 80, published: 80, mode: host}]", "Ports", `[{"host_ip":"","published":80,"target":80,"protocol":"tcp","mode":"host"}]`},
		{"exposed ports", "expose: [80, '90-91/udp']", "Expose", `["80/tcp","90/udp","91/udp"]`},
		{"a check's defaults", "healthcheck: {test: curl x}", "Health", `{"test":["CMD-SHELL","curl x"],"interval":30000000000,"timeout":30000000000,"retries":3,"start_interval":5000000000}`},
		{"a check", "healthcheck: {test: [CMD, x], interval: 1s, timeout: 2s, retries: 5, start_period: 3s, start_interval: 4s}", "Health", `{"test":["CMD","x"],"interval":1000000000,"timeout":2000000000,"retries":5,"start_period":3000000000,"start_interval":4000000000}`},
		{"no check", "healthcheck: {disable: true}", "Health", `null`},
		{"a policy", "restart: on-failure:3", "Restart", `{"name":"on-failure","max":3}`},
		{"rotation, in decimal bytes", "logging: {options: {max-size: 10m, max-file: 3}}", "Log", `{"driver":"json-file","max_size":10000000,"max_file":3}`},
		{"hosts", "extra_hosts: ['b=::1', 'a:1.2.3.4', 'a=host-gateway']", "ExtraHosts", `[{"name":"a","address":"1.2.3.4"},{"name":"a","address":"host-gateway"},{"name":"b","address":"::1"}]`},
		{"links", "links: [b, 'b:c']#services: {b: {image: x}}", "Links", `[{"service":"b","alias":"b"},{"service":"b","alias":"c"}]`},
		{"a secret and a config", "secrets: [s]/configs: [{source: c, target: etc/c, mode: 0640, uid: '5'}]#secrets: {s: {file: /f}}/configs: {c: {content: x}}", "Files",
			`[{"kind":"secret","name":"s","source":"/f","target":"/run/secrets/s","mode":292,"as_is":true},{"kind":"config","name":"c","target":"/etc/c","uid":5,"mode":288}]`},
		{"the host's processes", "pid: host", "PIDMode", `"host"`},
		{"own memory is the default", "ipc: shareable", "IPCMode", `""`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mustLoad(t, strings.ReplaceAll(serviceFile(tt.keys), "}/configs:", "}\nconfigs:"))
			r, err := p.Record("a", 1)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(reflect.ValueOf(r).FieldByName(tt.field).Interface())
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestHealthOverImage(t *testing.T) {
	image := &Health{Test: []string{"CMD", "img"}, Interval: 7 * time.Second, Retries: 9}
	for _, tt := range []struct{ name, keys, want string }{
		{"the image's, with defaults", "", `{"test":["CMD","img"],"interval":7000000000,"timeout":30000000000,"retries":9,"start_interval":5000000000}`},
		{"single fields", "healthcheck: {interval: 1s}", `{"test":["CMD","img"],"interval":1000000000,"timeout":30000000000,"retries":9,"start_interval":5000000000}`},
		{"none", "healthcheck: {test: NONE}", `{"test":["CMD-SHELL","NONE"],"interval":7000000000,"timeout":30000000000,"retries":9,"start_interval":5000000000}`},
		{"none as a list", "healthcheck: {test: [NONE]}", "null"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := json.Marshal(mustLoad(t, serviceFile(tt.keys)).Health("a", image))
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestFileContents(t *testing.T) {
	p := mustLoad(t, "services: {a: {image: x, secrets: [s, f], configs: [c]}}\nsecrets: {s: {environment: COLOUR}, f: {file: /f}}\nconfigs: {c: {content: \"is $COLOUR $$x\"}}\n")
	got, err := p.FileContents("a")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || string(got["secret/s"]) != "blue" || string(got["config/c"]) != "is blue $x" {
		t.Errorf("got %q", got)
	}
}

// What config prints means the same project, in either format.
func TestMarshalIsAFixedPoint(t *testing.T) {
	o := kitchen(t)
	o.Profiles = []string{"store"}
	first, err := Load(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"yaml", "json"} {
		text, err := Marshal(first, format)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Load(context.Background(), Options{
			Files: []string{"-"}, Stdin: strings.NewReader(string(text)), WorkingDir: t.TempDir(), Environment: o.Environment, Profiles: o.Profiles,
		})
		if err != nil {
			t.Fatalf("%s: %v\n%s", format, err, text)
		}
		if !maps.Equal(first.Hashes, second.Hashes) {
			t.Errorf("%s: hashes differ", format)
		}
		again, err := Marshal(second, format)
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(text) {
			t.Errorf("%s: lost\n%sgained\n%s", format, diffLines(string(text), string(again)), diffLines(string(again), string(text)))
		}
	}
}

func TestMarshalKeepsSecrets(t *testing.T) {
	const file = "services: {a: {image: \"x$NOT\", secrets: [s], configs: [c]}}\nsecrets: {s: {environment: PASSWORD}}\nconfigs: {c: {environment: PASSWORD}}\n"
	for _, raw := range []bool{false, true} {
		p := mustLoad(t, file, func(o *Options) {
			o.Environment, o.NoInterpolate = []string{"PASSWORD=hunter2", "NOT=1"}, raw
		})
		for _, format := range []string{"yaml", "json"} {
			text, err := Marshal(p, format)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "hunter2") {
				t.Errorf("raw %t, %s: the secret is printed:\n%s", raw, format, text)
			}
			if raw != strings.Contains(string(text), "x$NOT") {
				t.Errorf("raw %t, %s:\n%s", raw, format, text)
			}
		}
	}
}

func TestScaleOfTheCommandLine(t *testing.T) {
	p := mustLoad(t, hashed, func(o *Options) { o.Scale = map[string]int{"a": 5} })
	if p.Replicas("a") != 5 {
		t.Errorf("got %d", p.Replicas("a"))
	}
	_, dir, err := load(t, hashed, func(o *Options) { o.Scale = map[string]int{"zz": 5} })
	if show(err, dir) != "no such service: zz: not found" {
		t.Error(err)
	}
}
