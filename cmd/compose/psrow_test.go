package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/table"
	"github.com/compose-first/compose/project"
)

// psNow is when the containers of these tests are looked at.
var psNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func webContainer() engine.Container {
	return engine.Container{
		ID: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Name: "shop-web-1",
		Labels:  map[string]string{project.LabelProject: "shop", project.LabelService: "web", project.LabelOneOff: "False"},
		Created: psNow.Add(-3 * time.Minute), StartedAt: psNow.Add(-2 * time.Second), State: engine.StateRunning,
		Record: project.Record{
			Project: "shop", Service: "web", Number: 1, Image: "busybox", Command: "httpd -f -p 80 -h /srv/www",
			Ports: []project.Port{
				{Published: 8080, Target: 80, Protocol: "tcp"},
				{Published: 53, Target: 53, Protocol: "udp", HostIP: netip.MustParseAddr("127.0.0.1")},
			},
			Expose:   []string{"80/tcp", "99/tcp"},
			Networks: []project.Attachment{{Network: "shop_front"}, {Network: "shop_back"}},
			Mounts:   []project.MountInfo{{Type: "volume", Name: "shop_data", Target: "/data"}, {Type: "tmpfs", Target: "/tmp"}},
		},
	}
}

func TestStatusText(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    engine.Container
		want string
	}{
		{"runs", engine.Container{State: engine.StateRunning}, "Up 2 seconds"},
		{"healthy", engine.Container{State: engine.StateRunning, Health: "healthy"}, "Up 2 seconds (healthy)"},
		{"its check has not passed yet", engine.Container{State: engine.StateRunning, Health: "starting"}, "Up 2 seconds (health: starting)"},
		{"paused", engine.Container{State: engine.StatePaused}, "Up 2 seconds (Paused)"},
		{"ended", engine.Container{State: engine.StateExited, ExitCode: 137}, "Exited (137) 3 seconds ago"},
		{"out of memory", engine.Container{State: engine.StateExited, ExitCode: 137, OOMKilled: true}, "Exited (137) 3 seconds ago (out of memory)"},
		{"about to be started again", engine.Container{State: engine.StateRestarting, ExitCode: 1}, "Restarting (1) 3 seconds ago"},
		{"never started", engine.Container{State: engine.StateCreated}, "Created"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.StartedAt, tt.c.FinishedAt = psNow.Add(-2*time.Second), psNow.Add(-3*time.Second)
			if got := statusText(tt.c, psNow); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPsTable(t *testing.T) {
	const want = "NAME         IMAGE     COMMAND                  SERVICE   CREATED         STATUS         PORTS\n" +
		"shop-web-1   busybox   \"httpd -f -p 80 -h /…\"   web       3 minutes ago   Up 2 seconds   " +
		"127.0.0.1:53->53/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 99/tcp\n"
	if got := psText(t, "table", webContainer()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestPsFormats(t *testing.T) {
	for _, tt := range []struct{ name, format, want string }{
		{"a template is a line a container", `{{.Name}} {{.State}}\t{{.ID}}`, "shop-web-1 running\t0123456789ab\n"},
		{"a table of other columns has their headers", `table {{.Service}}\t{{.RunningFor}}`, "SERVICE   CREATED\nweb       3 minutes ago\n"},
		{"a column without a header of its own is headed by its name", `table {{.ExitCode}}\t{{.Health}}`, "EXITCODE   HEALTH\n0          \n"},
		{"labels by key", `{{.Label "com.docker.compose.service"}}`, "web\n"},
		{"json of one field", `{{json .Networks}}`, "\"shop_back,shop_front\"\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := psText(t, tt.format, webContainer()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	var b bytes.Buffer
	err := table.Write(&b, "{{.Nope}}", psTable, []psRow{})
	if err == nil || !bytes.HasPrefix([]byte(err.Error()), []byte("template parsing error: ")) {
		t.Errorf("an unknown field, nothing to list: got %v", err)
	}
}

func TestPsJSON(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal([]byte(psText(t, "json", webContainer())), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"Command", "CreatedAt", "Engine", "ExitCode", "Health", "ID", "Image", "Labels", "LocalVolumes",
		"Mounts", "Name", "Names", "Networks", "Ports", "Project", "Publishers", "RunningFor", "Service", "Size", "State", "Status"} {
		if _, ok := got[key]; !ok {
			t.Errorf("key %s is missing", key)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("further keys: %v", got)
	}
	var row psRow
	if err := json.Unmarshal([]byte(psText(t, "json", webContainer())), &row); err != nil {
		t.Fatal(err)
	}
	want := publisher{URL: "", TargetPort: 99, PublishedPort: 0, Protocol: "tcp"}
	if last := row.Publishers[len(row.Publishers)-1]; last != want {
		t.Errorf("a port that is exposed alone: got %+v, want %+v", last, want)
	}
}

func psText(t *testing.T, format string, containers ...engine.Container) string {
	t.Helper()
	var rows []psRow
	for _, c := range containers {
		rows = append(rows, newRow(c, psNow, false))
	}
	var b bytes.Buffer
	if err := table.Write(&b, format, psTable, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestListProjects(t *testing.T) {
	container := func(name string, state engine.State) engine.Container {
		return engine.Container{State: state, Labels: map[string]string{
			project.LabelProject: name, project.LabelConfigFiles: "/srv/" + name + "/compose.yaml",
		}}
	}
	containers := []engine.Container{
		container("shop", engine.StateRunning), container("shop", engine.StateExited), container("shop", engine.StateRunning),
		container("blog", engine.StateExited),
	}
	for _, tt := range []struct {
		name string
		all  bool
		want string
	}{
		{"what runs", false, `[{"Name":"shop","Status":"running(2)","ConfigFiles":"/srv/shop/compose.yaml"}]`},
		{"all", true, `[{"Name":"blog","Status":"exited(1)","ConfigFiles":"/srv/blog/compose.yaml"},` +
			`{"Name":"shop","Status":"exited(1), running(2)","ConfigFiles":"/srv/shop/compose.yaml"}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(listProjects(containers, tt.all))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if got, _ := json.Marshal(listProjects(nil, true)); string(got) != "[]" {
		t.Errorf("none: got %s", got)
	}
}
