package engine

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/compose-first/compose/internal/filelabel"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/project"
)

// The files that a container gets of its own, in its folder on the host.
const (
	hostsFile    = "hosts"
	hostnameFile = "hostname"
	resolvFile   = "resolv.conf"
)

// resolverAddress is where names are answered in a container on project networks.
// Source: Docker, embedded DNS server; images and their configurations expect it.
const resolverAddress = "127.0.0.11"

// Where the host's own names and resolvers are, the last when the other only names a
// local stub that a container cannot reach.
// Source: resolv.conf(5), systemd-resolved.service(8).
const (
	hostHostsFile  = "/etc/hosts"
	hostResolvFile = "/etc/resolv.conf"
	stubResolvFile = "/run/systemd/resolve/resolv.conf"
)

// publicServers are asked where the host names none that a container can reach.
// Source: Docker, default external name servers.
var publicServers = []string{"8.8.8.8", "8.8.4.4"}

// etcFiles are the mounts of a container's own files below /etc: those of the
// container whose network it shares, if any.
func etcFiles(in specInput) []specs.Mount {
	dir := etcDir(in.root, in.ID, in.Record.NetworkMode)
	var mounts []specs.Mount
	for _, name := range []string{hostsFile, hostnameFile, resolvFile} {
		mounts = append(mounts, specs.Mount{
			Destination: "/etc/" + name, Type: "bind", Source: filepath.Join(dir, name), Options: []string{"bind", "rprivate"},
		})
	}
	return mounts
}

func etcDir(root layout.Root, id, networkMode string) string {
	if other := joined(networkMode); other != "" {
		id = other
	}
	return root.Container(id)
}

// writeFiles makes a container's folder with its own files below /etc.
func (c *Client) writeFiles(cfg CreateConfig) error {
	dir := c.cfg.Root.Container(cfg.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if joined(cfg.Record.NetworkMode) != "" {
		return nil
	}
	name := firstOf(cfg.Record.Hostname, cfg.Service.Hostname, short(cfg.ID))
	if cfg.Service.Uts == "host" {
		if own, err := os.Hostname(); err == nil {
			name = own
		}
	}
	resolv, err := resolvConf(cfg.Record, hostResolvConf)
	if err != nil {
		return err
	}
	for file, content := range map[string]string{
		hostsFile:    hostsContent(cfg, name),
		hostnameFile: name + "\n",
		resolvFile:   resolv,
	} {
		if err := writeWhole(filepath.Join(dir, file), content, cfg.Record.FileLabel); err != nil {
			return err
		}
	}
	return nil
}

// ensureFiles makes anew what is lost of a container's files below /etc: what
// its record tells is all there is to them. Those of another container, whose
// network it shares, it may use.
func (c *Client) ensureFiles(id string, r project.Record) error {
	if joined(r.NetworkMode) != "" {
		return shareFiles(etcDir(c.cfg.Root, id, r.NetworkMode), r.FileLabel)
	}
	if exists(filepath.Join(c.cfg.Root.Container(id), resolvFile)) {
		return nil
	}
	return c.writeFiles(CreateConfig{ID: id, Record: r})
}

// shareFiles gives a container's files below /etc an SELinux label that others
// may use, too.
func shareFiles(dir, label string) error {
	shared, err := filelabel.Shared(label)
	if err != nil || shared == "" {
		return err
	}
	for _, name := range []string{hostsFile, hostnameFile, resolvFile} {
		if err := filelabel.Set(filepath.Join(dir, name), shared); err != nil {
			return err
		}
	}
	return nil
}

// writeWhole writes a file that anyone in a container may read. It is written
// in place: a running container may have it mounted.
func writeWhole(path, content, label string) error {
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := os.Chmod(path, 0o644); err != nil { // whatever the umask
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return filelabel.Set(path, label)
}

// usualHosts are the names that every container knows.
const usualHosts = "127.0.0.1\tlocalhost\n" +
	"::1\tlocalhost ip6-localhost ip6-loopback\n" +
	"fe00::\tip6-localnet\n" +
	"ff00::\tip6-mcastprefix\n" +
	"ff02::1\tip6-allnodes\n" +
	"ff02::2\tip6-allrouters\n"

// hostsContent is a container's /etc/hosts: the usual names or, with the
// host's network, all of the host's; the extra ones; and its own on each of
// its addresses.
func hostsContent(cfg CreateConfig, name string) string {
	var s strings.Builder
	r := cfg.Record
	ofHost, err := os.ReadFile(hostHostsFile)
	if known := r.NetworkMode == "host" && err == nil; known {
		s.Write(ofHost)
	} else {
		s.WriteString(usualHosts)
	}
	for _, h := range r.ExtraHosts {
		address := h.Address
		if address == "host-gateway" {
			address = hostGateway(cfg)
		}
		if address != "" {
			fmt.Fprintf(&s, "%s\t%s\n", address, h.Name)
		}
	}
	names := name
	if r.Domainname != "" {
		names = name + "." + r.Domainname + " " + name
	}
	own := 0
	for _, a := range r.Networks {
		for _, p := range []netip.Prefix{a.Address, a.Address6} {
			if p.IsValid() {
				fmt.Fprintf(&s, "%s\t%s\n", p.Addr(), names)
				own++
			}
		}
	}
	if own == 0 && r.NetworkMode != "host" {
		fmt.Fprintf(&s, "127.0.1.1\t%s\n", names)
	}
	return s.String()
}

// hostGateway is the address of the host as the container reaches it.
func hostGateway(cfg CreateConfig) string {
	if cfg.HostGateway != "" {
		return cfg.HostGateway
	}
	networks := slices.Clone(cfg.Record.Networks)
	slices.SortStableFunc(networks, func(a, b project.Attachment) int {
		switch {
		case a.Gateway == b.Gateway:
			return 0
		case a.Gateway:
			return -1
		}
		return 1
	})
	for _, a := range networks {
		if a.Address.IsValid() {
			return a.Address.Masked().Addr().Next().String()
		}
	}
	return "127.0.0.1"
}

// resolver is the content of a resolv.conf.
type resolver struct{ servers, search, options []string }

// resolvConf is a container's /etc/resolv.conf. On project networks names are
// answered at resolverAddress; else the service's servers are asked, or the
// host's own.
func resolvConf(r project.Record, hostFile func() (resolver, error)) (string, error) {
	host, err := hostFile()
	if err != nil {
		return "", err
	}
	use := resolver{servers: r.DNS.Servers, search: r.DNS.Search, options: r.DNS.Options}
	if len(use.search) == 0 {
		use.search = host.search
	}
	if slices.Equal(use.search, []string{"."}) {
		use.search = nil
	}
	switch {
	case len(r.Networks) > 0:
		use.servers = []string{resolverAddress}
		if !slices.ContainsFunc(use.options, func(o string) bool { return strings.HasPrefix(o, "ndots:") }) {
			use.options = append(slices.Clone(use.options), "ndots:0")
		}
	case len(use.servers) == 0:
		use.servers = host.servers
		if r.NetworkMode != "host" {
			use.servers = reachable(host.servers)
		}
		if len(use.options) == 0 {
			use.options = host.options
		}
	}
	return use.String(), nil
}

func (r resolver) String() string {
	var s strings.Builder
	for _, server := range r.servers {
		fmt.Fprintf(&s, "nameserver %s\n", server)
	}
	if len(r.search) > 0 {
		fmt.Fprintf(&s, "search %s\n", strings.Join(r.search, " "))
	}
	if len(r.options) > 0 {
		fmt.Fprintf(&s, "options %s\n", strings.Join(r.options, " "))
	}
	return s.String()
}

// reachable leaves out servers on the host's loopback, which in a container is
// its own.
func reachable(servers []string) []string {
	var all []string
	for _, s := range servers {
		if a, err := netip.ParseAddr(s); err != nil || !a.IsLoopback() {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return publicServers
	}
	return all
}

// hostResolvConf reads how the host itself resolves names. No file is no servers.
func hostResolvConf() (resolver, error) {
	r, err := readResolvConf(hostResolvFile)
	if err != nil {
		return resolver{}, err
	}
	if slices.Equal(r.servers, []string{"127.0.0.53"}) {
		if behind, err := readResolvConf(stubResolvFile); err == nil && len(behind.servers) > 0 {
			return behind, nil
		}
	}
	return r, nil
}

func readResolvConf(path string) (resolver, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return resolver{}, nil
	}
	if err != nil {
		return resolver{}, fmt.Errorf("read the host's resolvers: %w", err)
	}
	return parseResolvConf(string(data)), nil
}

func parseResolvConf(text string) resolver {
	var r resolver
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			r.servers = append(r.servers, fields[1])
		case "search", "domain":
			r.search = fields[1:]
		case "options":
			r.options = append(r.options, fields[1:]...)
		}
	}
	return r
}
