package engine

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/types/known/anypb"

	task "github.com/containerd/containerd/api/types/task"

	"github.com/compose-first/compose/project"
)

// FuzzContainer reads the labels and the record of a container, whatever is in
// them: what is read as a record is the same when it is written and read again.
func FuzzContainer(f *testing.F) {
	f.Add(`{"compose.exit-code":"137","compose.started-at":"2026-01-02T12:00:00.000000005Z"}`,
		[]byte(`{"project":"shop","service":"web","number":1,"networks":[{"network":"shop_default","interface":"eth0","address":"10.0.1.2/24","address6":""}],"stop_grace":10000000000}`), int32(2))
	f.Add(`{"com.docker.compose.container-number":"99999999999999999999","compose.restarting":"true"}`, []byte(`{"number":-1,"health":{}}`), int32(3))
	f.Add(`{"com.docker.compose.oneoff":"True"}`, []byte(`null`), int32(-1))
	f.Add(`{}`, []byte("{"), int32(9))
	f.Fuzz(func(t *testing.T, labels string, record []byte, status int32) {
		r := containers.Container{ID: "0123456789abcdef"}
		if json.Unmarshal([]byte(labels), &r.Labels) != nil {
			return
		}
		r.Extensions = map[string]typeurl.Any{project.RecordExtension: &anypb.Any{TypeUrl: recordType, Value: record}}
		var p *task.Process
		if status >= 0 {
			p = &task.Process{ID: r.ID, Status: task.Status(status)}
		}
		c := describe(r, p)
		if c.State == "" {
			t.Error("no state")
		}
		if c.RecordError != nil {
			return
		}
		a, err := recordExtension(c.Record)
		if err != nil {
			t.Fatalf("%+v is read and cannot be written: %v", c.Record, err)
		}
		r.Extensions[project.RecordExtension] = a
		again, err := readRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if first, second := text(t, c.Record), text(t, again); !reflect.DeepEqual(first, second) {
			t.Errorf("%s became %s", first, second)
		}
	})
}

func text(t *testing.T, r project.Record) string {
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// FuzzImage reads what an image says of itself, and who its users are.
func FuzzImage(f *testing.F) {
	f.Add([]byte(`{"config":{"User":"app:staff","Healthcheck":{"Test":["CMD","true"],"Interval":1000000000},"Shell":["/bin/sh","-c"]}}`), "app:x:1000:50::/home/app:/bin/sh\n", "staff:x:50:app\n", "app:staff")
	f.Add([]byte(`{"config":{"ExposedPorts":{"80":null},"Volumes":{"/..":{}}}}`), "app:x:4294967296:-1:::\n::::\n", ":::,,\n", "1:2")
	f.Add([]byte(`null`), "", "", "-1:99999999999")
	f.Fuzz(func(t *testing.T, config []byte, passwd, group, user string) {
		if c, err := parseImageConfig(config); err == nil && len(c.Config.User) > 0 {
			user = c.Config.User
		}
		ids := &identities{passwd: []byte(passwd), group: []byte(group)}
		id, err := ids.find(user, []string{"audio", "5"})
		if err != nil {
			return
		}
		if id.groups[0] != id.gid {
			t.Errorf("%+v: the primary group is not the first", id)
		}
		if slices.Sort(id.groups); len(slices.Compact(slices.Clone(id.groups))) != len(id.groups) {
			t.Errorf("%+v: a group twice", id)
		}
	})
}

// FuzzWords reads the small languages of a service's keys.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"0-3,7", "0-99999999999", "c 1:3 rwm", "b *:* r", "no-new-privileges", "seccomp=unconfined", "label=type:x", "nameserver 1.1.1.1\nsearch a b\noptions ndots:0", "SIGTERM", "15"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if cpus, err := parseCPUs(s); err == nil && len(cpus) > 1<<16 {
			t.Errorf("%q are %d processors", s, len(cpus))
		}
		_, _ = parseDeviceRule(s)
		_, _ = parseSecurityOptions([]string{s})
		_, _ = parseSignal(s)
		parseResolvConf(s)
	})
}
