package netplan

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// settleCarrier makes the kernel act at once on what it has noticed of an
// interface's carrier, which it otherwise does when it comes to it: until then
// a bridge passes nothing through its new port, nor through itself when that is
// its first, and what a container says or hears first would be lost for a
// second. Asking for the link state has that effect.
// Source: Linux, ethtool_op_get_link.
func (r *rtnl) settleCarrier(name string) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	value := &struct{ command, data uint32 }{command: unix.ETHTOOL_GLINK}
	pin.Pin(value)
	q := struct { // struct ifreq, with a pointer to the command
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(value)}
	copy(q.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(r.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&q))); errno != 0 {
		return fmt.Errorf("ask for the carrier of %s: %w", name, errno)
	}
	return nil
}
