#!/bin/bash
# Usage: tools/packages.sh build|test|debian
# Installs the system packages that building, testing or images of Debian need
# and that are not there yet, through apt, and says so. Without apt, or without
# root, it says what to install.
set -eu

missing=()
# need PACKAGE PROBE...: PACKAGE is missing when PROBE fails.
need() {
	local package=$1
	shift
	if ! "$@" >/dev/null 2>&1; then missing+=("$package"); fi
}
program() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }
static_busybox() { [ -x /bin/busybox ] && ! ldd /bin/busybox; }

case ${1:-} in
build) # runc is linked with C, as is the race detector
	need gcc program gcc
	need libc6-dev test -e /usr/include/stdio.h
	need pkg-config program pkg-config
	need libseccomp-dev pkg-config --exists libseccomp
	;;
test) # the image of most tests, and tools that look at what compose made
	need busybox-static static_busybox
	need iproute2 program ip
	need nftables program nft
	need systemd program systemd-analyze
	;;
debian)
	need debootstrap program debootstrap
	;;
*)
	echo "usage: $0 build|test|debian" >&2
	exit 2
	;;
esac

[ ${#missing[@]} -gt 0 ] || exit 0
if ! program apt-get >/dev/null; then
	echo "these are needed, under the names that Debian gives them: ${missing[*]}" >&2
	echo "install what your system calls them, and run make again" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "these packages are needed: apt-get install ${missing[*]}  (as root)" >&2
	exit 1
fi
echo "installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null
