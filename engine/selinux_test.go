package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/selinux/go-selinux"

	"github.com/compose-first/compose/internal/filelabel"
	"github.com/compose-first/compose/project"
)

// policyLabels are what container-selinux has for containers.
var policyLabels = selinuxLabels{"system_u:system_r:container_t:s0:c0,c1", "system_u:object_r:container_file_t:s0:c0,c1"}

// testCategories are those of testID: they are to stay, as long as containers do.
const testCategories = "s0:c515,c996"

// TestLabelsOfSecurityModules shows the profile and the labels of a container
// on a host with AppArmor and SELinux.
func TestLabelsOfSecurityModules(t *testing.T) {
	const (
		process    = "system_u:system_r:container_t:" + testCategories
		file       = "system_u:object_r:container_file_t:" + testCategories
		unconfined = "system_u:object_r:container_file_t:s0:c1022,c1023"
	)
	profiles := filepath.Join(t.TempDir(), "profiles")
	if err := os.WriteFile(profiles, []byte("lax (complain)\nstrict (enforce)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pid := func(in *specInput) { in.Record.PIDMode = "host" }
	ipc := func(in *specInput) { in.Record.IPCMode = "host" }
	joins := func(in *specInput) { in.joinedLabel = "u:r:t:s0:c5,c6" }
	for _, tt := range []struct {
		name, service           string
		change                  func(*specInput)
		apparmor, process, file string
	}{
		{"by default", ``, nil, "compose-default", process, file},
		{"privileged", `privileged: true`, nil, "", "", unconfined},
		{"privileged with a profile and a label", `{privileged: true, security_opt: [apparmor=strict, "label=type:own_t"]}`, nil,
			"strict", "system_u:system_r:own_t:" + testCategories, file},
		{"a profile", `security_opt: ["apparmor:strict"]`, nil, "strict", process, file},
		{"no profile", `security_opt: [apparmor=unconfined]`, nil, "unconfined", process, file},
		{"a label", `security_opt: ["label=user:u", "label:role:r", "label=type:t", "label=level:s0:c1,c2"]`, nil,
			"compose-default", "u:r:t:s0:c1,c2", "u:object_r:container_file_t:s0:c1,c2"},
		{"a level", `security_opt: ["label=level:s0:c9"]`, nil,
			"compose-default", "system_u:system_r:container_t:s0:c9", "system_u:object_r:container_file_t:s0:c9"},
		{"a type of its files", `security_opt: ["label=filetype:usr_t"]`, nil, "compose-default", process, "system_u:object_r:usr_t:" + testCategories},
		{"no label", `security_opt: [label=disable]`, nil, "compose-default", "", unconfined},
		{"no label, whatever else is said", `security_opt: ["label=type:t", label=disable]`, nil, "compose-default", "", unconfined},
		{"pid: host", ``, pid, "compose-default", "", unconfined},
		{"ipc: host", ``, ipc, "compose-default", "", unconfined},
		{"pid: host with a label", `security_opt: ["label=type:t"]`, pid, "compose-default", "system_u:system_r:t:" + testCategories, file},
		{"another container's namespace", ``, joins, "compose-default", "u:r:t:s0:c5,c6", "u:object_r:container_file_t:s0:c5,c6"},
		{"another's, privileged", `privileged: true`, joins, "", "", unconfined},
		{"another's, and a label of its own", `security_opt: ["label=level:s0:c9"]`, joins,
			"compose-default", "system_u:system_r:container_t:s0:c9", "system_u:object_r:container_file_t:s0:c9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, warnings, err := build(t, tt.service, func(in *specInput) {
				in.host.AppArmor, in.host.Profiles, in.host.SELinux = true, profiles, policyLabels
				if tt.change != nil {
					tt.change(in)
				}
			})
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			if p := s.Process; p.ApparmorProfile != tt.apparmor || p.SelinuxLabel != tt.process || s.Linux.MountLabel != tt.file {
				t.Errorf("got %q, %q and %q, want %q, %q and %q",
					p.ApparmorProfile, p.SelinuxLabel, s.Linux.MountLabel, tt.apparmor, tt.process, tt.file)
			}
		})
	}
	t.Run("a profile that is not loaded", func(t *testing.T) {
		_, _, err := build(t, `security_opt: [apparmor=loose]`, func(in *specInput) { in.host.AppArmor, in.host.Profiles = true, profiles })
		if err == nil || !strings.Contains(err.Error(), `AppArmor profile "loose" is not loaded`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a policy without levels", func(t *testing.T) {
		s, _, err := build(t, ``, func(in *specInput) { in.host.SELinux = selinuxLabels{"u:r:t", "u:object_r:f"} })
		if err != nil || s.Process.SelinuxLabel != "u:r:t" || s.Linux.MountLabel != "u:object_r:f" {
			t.Errorf("got %q and %q, %v", s.Process.SelinuxLabel, s.Linux.MountLabel, err)
		}
	})
	t.Run("without SELinux", func(t *testing.T) {
		s, _, err := build(t, ``)
		if err != nil || s.Process.SelinuxLabel != "" || s.Linux.MountLabel != "" {
			t.Errorf("got %q and %q, %v", s.Process.SelinuxLabel, s.Linux.MountLabel, err)
		}
	})
}

// Any two containers have other categories, as far as there are enough, and
// none has those of the files of unconfined ones.
func TestCategories(t *testing.T) {
	const containers = 2000
	seen := map[string]int{}
	for range containers {
		id := NewID()
		c := categories(id)
		if c != categories(id) {
			t.Fatalf("%s has several", id)
		}
		low, high, ok := strings.Cut(strings.TrimPrefix(c, "s0:c"), ",c")
		if !ok || low == high || len(low) > len(high) || len(low) == len(high) && low > high {
			t.Errorf("%s is not two categories in order", c)
		}
		if slices.Contains([]string{low, high}, "1022") || slices.Contains([]string{low, high}, "1023") {
			t.Errorf("%s is for unconfined containers", c)
		}
		seen[c]++
	}
	if shared := containers - len(seen); shared > 40 { // 4 are to be expected
		t.Errorf("of %d containers %d have the categories of another", containers, shared)
	}
}

// A container that is made where there is SELinux has its labels in its spec,
// its record, on its files and the mount of its root, and so have what runs in
// it and those that share its namespaces.
func TestSELinux(t *testing.T) {
	ctx := t.Context()
	c, err := Connect(ctx, shared.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.host = func() (hostFacts, error) {
		h, err := lookAtHost()
		h.SELinux = policyLabels
		return h, err
	}
	image, err := c.ResolveImage(ctx, testImage, "")
	if err != nil {
		t.Fatal(err)
	}
	config := func(change ...func(*CreateConfig)) CreateConfig {
		cfg := CreateConfig{ID: NewID(), Image: image, Record: project.Record{NetworkMode: "none", Log: project.Log{Driver: "json-file"}}, Labels: map[string]string{project.LabelProject: "test"}}
		cfg.Name = "test-" + short(cfg.ID)
		cfg.Service.Command = []string{"sleep", "1000"}
		for _, f := range change {
			f(&cfg)
		}
		return cfg
	}
	makeOne := func(cfg CreateConfig) (process, file string) {
		t.Helper()
		foretold, err := c.FileLabel(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Create(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := shared.Remove(context.Background(), cfg.ID); err != nil && !errors.Is(err, ErrNotFound) {
				t.Errorf("clean up: %v", err)
			}
		})
		r, err := c.containers.Get(ctx, cfg.ID)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := decodeSpec(r.Spec)
		if err != nil {
			t.Fatal(err)
		}
		record, err := readRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		file = spec.Linux.MountLabel
		if record.FileLabel != file || foretold != file || file == "" {
			t.Errorf("label of files: %q in the spec, %q in the record, %q foretold", file, record.FileLabel, foretold)
		}
		return spec.Process.SelinuxLabel, file
	}
	etc := func(id string) []string {
		dir := c.cfg.Root.Container(id)
		return []string{filepath.Join(dir, hostsFile), filepath.Join(dir, hostnameFile), filepath.Join(dir, resolvFile)}
	}
	checkFiles := func(want string, paths []string) {
		t.Helper()
		for _, path := range paths {
			if got := filelabel.Of(path); got != want {
				t.Errorf("%s has label %q, want %q", filepath.Base(path), got, want)
			}
		}
	}
	with := func(mode func(*project.Record) *string, id string) func(*CreateConfig) {
		return func(cfg *CreateConfig) { *mode(&cfg.Record) = containerPrefix + id }
	}
	network := func(r *project.Record) *string { return &r.NetworkMode }
	pid := func(r *project.Record) *string { return &r.PIDMode }
	ipc := func(r *project.Record) *string { return &r.IPCMode }

	one := config()
	process, file := makeOne(one)
	if want := categories(one.ID); !strings.HasSuffix(process, ":"+want) || !strings.HasSuffix(file, ":"+want) {
		t.Errorf("got %q and %q, want %s in both", process, file, want)
	}
	checkFiles(file, etc(one.ID))

	mounts, err := c.snapshots.Mounts(ctx, one.ID)
	if err != nil || len(mounts) == 0 {
		t.Fatal(mounts, err)
	}
	for i, m := range labelMounts(mounts, file) {
		if want := append(slices.Clone(mounts[i].Options), `context="`+file+`"`); !slices.Equal(m.Options, want) {
			t.Errorf("root is mounted with %q, want %q", m.Options, want)
		}
	}
	if got := labelMounts(mounts, ""); !slices.Equal(got[0].Options, mounts[0].Options) {
		t.Errorf("without a label root is mounted with %q", got[0].Options)
	}

	for _, tt := range []struct {
		name string
		cfg  ExecConfig
		want string
	}{{"exec", ExecConfig{}, process}, {"privileged exec", ExecConfig{Privileged: true}, ""}} {
		p, err := c.execProcess(ctx, one.ID, tt.cfg)
		if err != nil || p.SelinuxLabel != tt.want {
			t.Errorf("%s has %q, %v; want %q", tt.name, p.SelinuxLabel, err, tt.want)
		}
	}

	two := config()
	otherProcess, _ := makeOne(two)
	if otherProcess == process {
		t.Errorf("two containers have %s", process)
	}
	if got, _ := makeOne(config(with(pid, one.ID), with(ipc, one.ID))); got != process {
		t.Errorf("one that joins a container has %q, want its %q", got, process)
	}
	if err := c.Create(ctx, config(with(pid, one.ID), with(ipc, two.ID))); err == nil || !strings.Contains(err.Error(), "different SELinux labels") {
		t.Errorf("one that joins two containers: %v", err)
	}
	free := config(func(cfg *CreateConfig) { cfg.Service.SecurityOpt = []string{"label=disable"} })
	if got, _ := makeOne(free); got != "" {
		t.Errorf("an unconfined one has %q", got)
	}
	// The kernel gets the label with the mount of the root; one without SELinux
	// refuses it, and the error shows what was asked for.
	err = c.Start(ctx, free.ID)
	switch {
	case selinux.GetEnabled() && err != nil:
		t.Errorf("start of an unconfined one: %v", err)
	case !selinux.GetEnabled() && (err == nil || !strings.Contains(err.Error(), `context=\"system_u:object_r:container_file_t:s0:c1022,c1023\"`)):
		t.Errorf("its root is not mounted with its label: %v", err)
	}
	beside := config(with(pid, free.ID))
	if got, _ := makeOne(beside); !strings.HasSuffix(got, categories(beside.ID)) {
		t.Errorf("one that joins an unconfined one has %q, want its own", got)
	}

	guest := config(with(network, one.ID))
	_, guestFile := makeOne(guest)
	checkFiles(file, etc(one.ID))
	if err := c.ensureFiles(guest.ID, project.Record{NetworkMode: containerPrefix + one.ID, FileLabel: guestFile}); err != nil {
		t.Fatal(err)
	}
	checkFiles("system_u:object_r:container_file_t:s0", etc(one.ID)) // which both use from now on
}
