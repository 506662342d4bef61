package main

import (
	"syscall"
	"unsafe"
)

// controls tells whether a descriptor is the controlling terminal: only then
// has it a foreground process group.
func controls(fd uintptr) bool {
	var group int32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return errno == 0
}
