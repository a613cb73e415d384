#!/bin/bash
# start.sh c|ocaml DIR: runs Debian's stock store daemon in the foreground without Xen,
# its socket at DIR/run/socket, its simulated hypervisor at DIR/xsfake (see xsfake.h).
#
# Needs root, and the packages xen-utils-4.17, xenstore-utils, libxen-dev and gcc.
# With XSFAKE_UNDER the daemon is run by that command, such as `valgrind --tool=callgrind`.
# Each daemon lives in a mount namespace of its own, since oxenstored's paths are
# compiled in; so both can run at once.
set -eu
kind=$1
dir=$(realpath -m "$2")
here=$(cd "$(dirname "$0")" && pwd)
lib=$dir/libxsfake.so
bin=/usr/lib/xen-4.17/bin
mkdir -p "$dir"/{run,lib,log,xsfake}
${CC:-cc} -O2 -fPIC -shared -DXSFAKE_417 -o "$lib" "$here/xsfake.c" -ldl
case $kind in
c)
  cmd=("$bin/xenstored" --no-fork --pid-file "$dir/pid")
  ;;
ocaml)
  # The values of the configuration file that Debian ships.
  cat >"$dir/oxenstored.conf" <<-EOF
	pid-file = $dir/pid
	persistent = false
	merge-activate = true
	perms-activate = true
	quota-activate = true
	quota-maxentity = 1000
	quota-maxsize = 2048
	quota-maxwatch = 100
	quota-transaction = 10
	quota-maxrequests = 1024
	quota-path-max = 1024
	xenstored-kva = /proc/xen/xsd_kva
	xenstored-port = /proc/xen/xsd_port
	EOF
  cmd=("$bin/oxenstored" --no-fork --no-access-log --config-file "$dir/oxenstored.conf")
  ;;
*)
  echo "usage: start.sh c|ocaml DIR" >&2
  exit 2
  ;;
esac
mkdir -p /run/xenstored /run/xen /var/lib/xenstored /var/log/xen
exec unshare -m --propagation private bash -c '
  dir=$1 lib=$2
  shift 2
  mount --bind "$dir/run" /run/xenstored
  mount --bind "$dir/lib" /var/lib/xenstored
  mount --bind "$dir/log" /var/log/xen
  exec env XENSTORED_RUNDIR=/run/xenstored XSFAKE_DIR="$dir/xsfake" LD_PRELOAD="$lib" \
    ${XSFAKE_UNDER:-} "$@"' \
  - "$dir" "$lib" "${cmd[@]}"
