package netplan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attach makes the network namespace at netnsPath and its interfaces, one a
// wire, in order. Done again it mends what is missing: the namespace (from
// o.PID, where a process still lives in it), a pair, an address, a route, the
// place of a pair in its bridge. The bridges must be there: see Ensure.
func (h *Host) Attach(ctx context.Context, netnsPath string, wires []Wire, o AttachOptions) (retErr error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.LoopbackOnly {
		wires = nil
	}
	for _, w := range wires {
		if err := checkInterface(w.Attachment.Interface); err != nil {
			return fmt.Errorf("attach to %s: %w", w.Network.Name, err)
		}
	}
	// One at a time: the kernel has one lock for all of this, and threads that
	// wait for it in turn are slower than one that has it.
	h.wiring.Lock()
	defer h.wiring.Unlock()
	host, err := openRTNL()
	if err != nil {
		return err
	}
	defer host.close()
	bound, err := isNetns(netnsPath)
	if err != nil {
		return err
	}
	if !bound && o.PID > 0 {
		if err := bindNetns(fmt.Sprintf("/proc/%d/ns/net", o.PID), netnsPath); err != nil {
			return err
		}
		bound = true
	}
	if bound {
		fd, err := openNetns(netnsPath)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return inNetns(fd, func() error { return wireUp(host, netnsPath, wires) })
	}
	defer func() {
		if retErr != nil {
			retErr = errors.Join(retErr, h.detach(host, netnsPath))
		}
	}()
	return inNetns(-1, func() error {
		if err := bindNetns(threadNetns, netnsPath); err != nil {
			return err
		}
		if err := settle(); err != nil {
			return err
		}
		return wireUp(host, netnsPath, wires)
	})
}

// Detach removes the interfaces of the network namespace at netnsPath and
// unbinds it. The host's ends go at once, so that the addresses are free even
// while something still holds the namespace. Nothing there is no error.
func (h *Host) Detach(ctx context.Context, netnsPath string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// Not one at a time: deleting waits long for all processors to have let go
	// of the interface, and many can wait together.
	host, err := openRTNL()
	if err != nil {
		return err
	}
	defer host.close()
	return h.detach(host, netnsPath)
}

// detach goes from the last interface to the first: of a command that is killed
// half way, those from the first on are left, and found again.
func (h *Host) detach(host *rtnl, netnsPath string) error {
	var names []string
	for {
		name := hostEnd(netnsPath, len(names))
		if index, err := host.linkIndex(name); err != nil || index == 0 {
			break
		}
		names = append(names, name)
	}
	for _, name := range slices.Backward(names) {
		if err := host.one(deleteLink(name)); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("delete interface %s: %w", name, err)
		}
	}
	return unbindNetns(netnsPath)
}

// settle gives a new namespace, in which the calling thread is, what containers
// expect of theirs: any user may serve port 80, and ping.
func settle() error {
	return errors.Join(
		sysctl("ipv4/ip_unprivileged_port_start", "0"),
		sysctl("ipv4/ping_group_range", "0 2147483647"),
	)
}

// wireUp makes the interfaces of the namespace that the calling thread is in.
func wireUp(host *rtnl, netnsPath string, wires []Wire) error {
	inside, err := openRTNL()
	if err != nil {
		return err
	}
	defer inside.close()
	if err := pairs(host, inside, netnsPath, wires); err != nil {
		return err
	}
	requests := []*nl.NetlinkRequest{linkUp(0, "lo")}
	for _, w := range wires {
		more, err := configure(inside, w)
		if err != nil {
			return fmt.Errorf("attach to %s: %w", w.Network.Name, err)
		}
		requests = append(requests, more...)
	}
	results, err := inside.do(requests...)
	if err != nil {
		return err
	}
	for _, err := range results {
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("set up interfaces of %s: %w", netnsPath, err)
		}
	}
	for place, w := range wires {
		for _, name := range []string{hostEnd(netnsPath, place), w.Network.Bridge} {
			if err := host.settleCarrier(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// pairs sees to it that each wire has its veth pair, and that it is in its bridge.
func pairs(host, inside *rtnl, netnsPath string, wires []Wire) error {
	if len(wires) == 0 {
		return nil
	}
	netns, err := openNetns(threadNetns)
	if err != nil {
		return err
	}
	defer unix.Close(netns)
	for place, w := range wires {
		if err := pair(host, inside, hostEnd(netnsPath, place), netns, w); err != nil {
			return fmt.Errorf("attach to %s: %w", w.Network.Name, err)
		}
	}
	return nil
}

func pair(host, inside *rtnl, end string, netns int, w Wire) error {
	bridge, err := host.linkIndex(w.Network.Bridge)
	if err != nil {
		return err
	}
	if bridge == 0 {
		return fmt.Errorf("bridge %s is missing", w.Network.Bridge)
	}
	create, err := veth(end, bridge, netns, w)
	if err != nil {
		return err
	}
	port := bridgePort(end, w.Network)
	index, err := inside.linkIndex(w.Attachment.Interface)
	if err != nil {
		return err
	}
	requests := []*nl.NetlinkRequest{create, port}
	if index != 0 {
		requests[0] = enslave(end, bridge) // it has its pair: only the place in the bridge may be lost
	}
	results, err := host.do(requests...)
	if err != nil {
		return err
	}
	if index == 0 && errors.Is(results[0], unix.EEXIST) {
		// A pair that an earlier namespace of this path has left.
		if results, err = host.do(deleteLink(end), create, port); err != nil {
			return err
		}
		results = results[1:]
	}
	if err := errors.Join(results...); err != nil {
		return fmt.Errorf("make interface %s: %w", w.Attachment.Interface, err)
	}
	return nil
}

// configure lists what one interface needs inside its namespace.
func configure(inside *rtnl, w Wire) ([]*nl.NetlinkRequest, error) {
	a := w.Attachment
	index, err := inside.linkIndex(a.Interface)
	if err != nil {
		return nil, err
	}
	if index == 0 {
		return nil, fmt.Errorf("interface %s is missing", a.Interface)
	}
	if !a.Address6.IsValid() {
		// Before it is up: no address that nobody asked for, no router advertisements heeded.
		if err := sysctl("ipv6/conf/"+a.Interface+"/disable_ipv6", "1"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	requests := []*nl.NetlinkRequest{linkUp(index, a.Interface)}
	if a.Address.IsValid() {
		requests = append(requests, addAddress(index, a.Address))
	}
	if a.Address6.IsValid() {
		requests = append(requests, addAddress(index, a.Address6))
	}
	if !a.Gateway || w.Network.Internal {
		return requests, nil
	}
	if p, ok := w.Network.pool(false); ok && a.Address.IsValid() {
		requests = append(requests, defaultRoute(index, p.Gateway))
	}
	if p, ok := w.Network.pool(true); ok && a.Address6.IsValid() {
		requests = append(requests, defaultRoute(index, p.Gateway))
	}
	return requests, nil
}
