package project

import (
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/tree"
)

// unhonoured are the other keys of the Compose Specification: each is warned
// about, with all below it. The list tells keys that were decided on from
// those that nobody has looked at.
var unhonoured = keyPaths(`
jobs models
services.*.build.isolation
services.*.build.secrets.[].uid services.*.build.secrets.[].gid services.*.build.secrets.[].mode
services.*.cpu_count services.*.cpu_percent services.*.credential_spec
services.*.deploy.endpoint_mode services.*.deploy.labels services.*.deploy.placement
services.*.deploy.resources.reservations.cpus services.*.deploy.resources.reservations.devices
services.*.deploy.resources.reservations.generic_resources
services.*.deploy.restart_policy services.*.deploy.rollback_config services.*.deploy.update_config
services.*.develop services.*.external_links services.*.gpus services.*.isolation
services.*.logging.options.* services.*.models
services.*.networks.*.driver_opts services.*.networks.*.link_local_ips services.*.networks.*.use_service_name_alias
services.*.post_start services.*.pre_start services.*.pre_stop services.*.provider
services.*.runtime services.*.storage_opt services.*.use_api_socket
services.*.volumes.[].consistency services.*.volumes.[].image
networks.*.ipam.options
secrets.*.driver secrets.*.driver_opts secrets.*.labels secrets.*.template_driver
configs.*.labels configs.*.template_driver
`)

// Every key of the specification is honoured or known not to be.
func TestEveryKeyIsDecidedOn(t *testing.T) {
	yes, no := map[tree.Path]bool{}, map[tree.Path]bool{}
	for _, p := range honoured {
		yes[p] = true
	}
	for _, p := range unhonoured {
		no[p] = true
		if yes[p] {
			t.Errorf("%s is both honoured and not", p)
		}
	}
	spec := map[tree.Path]bool{}
	for _, p := range schema.AttributePaths() {
		spec[p] = true
		decided := yes[p]
		for up := p; up != "" && !decided; up = up.Parent() {
			decided = no[up]
		}
		if !decided {
			t.Errorf("%s is in neither table of coverage.go", p)
		}
	}
	for _, p := range slices.Concat(honoured, unhonoured) {
		if !spec[p] && !spec[p.Parent()+".*"] {
			t.Errorf("%s is not in the specification", p)
		}
	}
}

func TestCoverageWarnings(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"what is honoured is quiet", "services: {web: {image: x, ports: [80], x-own: {y: 1}}}\nx-top: 1\n", ""},
		{"a key is named with its service", "services: {web: {image: x, credential_spec: {file: c}}}\n", `service "web": key "credential_spec" is not honoured yet`},
		{"the outermost that is not honoured", "services: {web: {image: x, deploy: {replicas: 1, placement: {constraints: [x]}}}}\n", `service "web": key "deploy.placement" is not honoured yet`},
		{"items of lists are told once", "services: {web: {image: x, volumes: [{type: bind, source: /a, target: /a, consistency: cached}, {type: bind, source: /b, target: /b, consistency: cached}]}}\n", `service "web": key "volumes[].consistency" is not honoured yet`},
		{"an inactive service is not told of", "services: {web: {image: x}, off: {image: x, profiles: [pp], credential_spec: {file: c}}}\n", ""},
		{"also outside services", "services: {web: {image: x}}\nconfigs: {c: {content: x, template_driver: t}}\n", `key "configs.c.template_driver" is not honoured yet`},
		{"names with dots", "services: {web.two: {image: x, credential_spec: {file: c}}}\n", `service "web.two": key "credential_spec" is not honoured yet`},
		{"labels may be called anything", "services: {web: {image: x, labels: {x-a: 1, b.c: 2}}}\n", ""},
		{"the version says nothing", "version: '99'\nservices: {web: {image: x}}\n", "DIR/compose.yaml: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, dir, err := load(t, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(strings.Join(p.Warnings, "\n"), dir, "DIR"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
