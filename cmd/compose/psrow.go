package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/table"
	"github.com/compose-first/compose/project"
)

// psTable is the table of ps.
// Source: docker compose ps.
var psTable = table.Spec{
	Default: "{{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}",
	Headers: map[string]string{"RunningFor": "CREATED", "ID": "CONTAINER ID", "CreatedAt": "CREATED AT", "LocalVolumes": "LOCAL VOLUMES"},
}

// psRow is a container as ps lists it: the fields that templates use, and the
// keys of its JSON.
type psRow struct {
	Command      string
	CreatedAt    string
	Engine       string
	ExitCode     int
	Health       string
	ID           string
	Image        string
	Labels       string
	LocalVolumes string
	Mounts       string
	Name         string
	Names        string
	Networks     string
	Ports        string
	Project      string
	Publishers   []publisher
	RunningFor   string
	Service      string
	Size         string
	State        string
	Status       string

	labels map[string]string
}

// publisher is a port of a container, and where it is published.
type publisher struct {
	URL           string
	TargetPort    uint16
	PublishedPort uint16 // 0: exposed alone
	Protocol      string
}

// Label is {{.Label "key"}} in a template.
func (r psRow) Label(key string) string { return r.labels[key] }

// Widths of the shortened columns.
// Source: docker ps.
const (
	idWidth      = 12
	commandWidth = 20
	mountWidth   = 15
)

// createdForm is how CreatedAt shows a time.
// Source: docker ps --format '{{.CreatedAt}}'.
const createdForm = "2006-01-02 15:04:05 -0700 MST"

func newRow(c engine.Container, now time.Time, noTrunc bool) psRow {
	r := c.Record
	row := psRow{
		CreatedAt: c.Created.Local().Format(createdForm), Engine: "containerd", ExitCode: c.ExitCode,
		Health: c.Health, ID: c.ID, Image: r.Image, Name: c.Name, Names: c.Name,
		Project: c.Labels[project.LabelProject], Service: c.Labels[project.LabelService],
		RunningFor: table.Ago(c.Created, now), Size: "N/A",
		State: string(c.State), Status: statusText(c, now),
		Publishers: publishers(c), labels: c.Labels,
	}
	command, id := r.Command, c.ID
	if !noTrunc {
		command, id = table.Ellipsis(command, commandWidth), shortID(id)
	}
	row.Command, row.ID = strconv.Quote(command), id
	row.Labels = labelText(c.Labels)
	row.Mounts, row.LocalVolumes = mountText(r.Mounts, noTrunc)
	var networks []string
	for _, n := range r.Networks {
		networks = append(networks, n.Network)
	}
	slices.Sort(networks)
	row.Networks = strings.Join(networks, ",")
	row.Ports = portText(row.Publishers)
	return row
}

func shortID(id string) string { return id[:min(len(id), idWidth)] }

func labelText(labels map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k+"="+labels[k])
	}
	return strings.Join(parts, ",")
}

// mountText is the comma list of mounts, and how many are volumes.
func mountText(mounts []project.MountInfo, noTrunc bool) (text, volumes string) {
	var names []string
	n := 0
	for _, m := range mounts {
		name := cmp.Or(m.Name, m.Source)
		if m.Type == "volume" {
			n++
		}
		if name == "" {
			continue
		}
		if !noTrunc {
			name = table.Ellipsis(name, mountWidth)
		}
		names = append(names, name)
	}
	return strings.Join(names, ","), strconv.Itoa(n)
}

// statusText is the state in words: "Up 2 seconds (healthy)".
// Source: docker ps.
func statusText(c engine.Container, now time.Time) string {
	switch c.State {
	case engine.StateRunning:
		return "Up " + table.Age(c.StartedAt, now) + healthText(c.Health)
	case engine.StatePaused:
		return "Up " + table.Age(c.StartedAt, now) + " (Paused)"
	case engine.StateRestarting:
		if c.FinishedAt.IsZero() { // it is being started, and what it ended with is gone
			return "Restarting"
		}
		return fmt.Sprintf("Restarting (%d)%s", c.ExitCode, endText(c, now))
	case engine.StateExited:
		return fmt.Sprintf("Exited (%d)%s", c.ExitCode, endText(c, now))
	case engine.StateCreated:
		return "Created"
	case engine.StateDead:
		return "Dead"
	case engine.StateRemoving:
		return "Removal In Progress"
	}
	return string(c.State)
}

// endText says when a container ended, where anybody knows, and that the
// kernel ended it for want of memory.
func endText(c engine.Container, now time.Time) string {
	text := ""
	if !c.FinishedAt.IsZero() {
		text = " " + table.Ago(c.FinishedAt, now)
	}
	if c.OOMKilled {
		text += " (out of memory)"
	}
	return text
}

func healthText(health string) string {
	switch health {
	case "":
		return ""
	case "starting":
		return " (health: starting)"
	}
	return " (" + health + ")"
}

// publishers are the ports of a container, by target: published ones while it
// runs, on every local address as one entry for each family, and those that
// are exposed alone.
func publishers(c engine.Container) []publisher {
	list := []publisher{} // an empty array in JSON, not null
	published := map[string]bool{}
	if alive(c.State) {
		for _, p := range c.Record.Ports {
			if p.Published == 0 {
				continue
			}
			published[fmt.Sprint(p.Target, "/", p.Protocol)] = true
			for _, url := range urls(p.HostIP) {
				list = append(list, publisher{URL: url, TargetPort: p.Target, PublishedPort: p.Published, Protocol: p.Protocol})
			}
		}
	}
	for _, e := range c.Record.Expose {
		port, protocol, _ := strings.Cut(e, "/")
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || published[e] || !alive(c.State) {
			continue
		}
		list = append(list, publisher{TargetPort: uint16(n), Protocol: cmp.Or(protocol, "tcp")})
	}
	slices.SortStableFunc(list, func(x, y publisher) int {
		return cmp.Or(cmp.Compare(x.TargetPort, y.TargetPort), cmp.Compare(x.Protocol, y.Protocol))
	})
	return list
}

func urls(ip netip.Addr) []string {
	if !ip.IsValid() {
		return []string{"0.0.0.0", "::"}
	}
	return []string{ip.String()}
}

// portText is "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 99/tcp".
func portText(list []publisher) string {
	var parts []string
	for _, p := range list {
		text := fmt.Sprintf("%d/%s", p.TargetPort, p.Protocol)
		if p.PublishedPort != 0 {
			host := p.URL
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			text = fmt.Sprintf("%s:%d->%s", host, p.PublishedPort, text)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}
