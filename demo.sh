#!/usr/bin/env bash
# Builds the daemon, starts it without Xen, fills it with a host's tree, shows a watch and a
# transaction, and leaves it running. Needs Rust and nothing else.
#
#     ./demo.sh [DIR]      DIR keeps the daemon's socket, pid and log files
set -euo pipefail
umask 077
dir=${1:-${XDG_RUNTIME_DIR:-/tmp}/rxenstored-demo-$(id -u)}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
[ -O "$dir" ] || { echo "demo.sh: $dir belongs to somebody else" >&2; exit 1; }
cd "$(dirname "$0")"

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

step "Building (some minutes the first time)"
cargo build --release --locked --bins -p rxenstored -p xenstore-cli
bin=${CARGO_TARGET_DIR:-target}/release
bin=$(cd "$bin" && pwd)

# The daemon keeps its pid file locked: who can lock it knows that no daemon runs.
if [ -e "$dir/pid" ] && ! flock -n "$dir/pid" true; then
    step "Stopping the demo's daemon of last time"
    kill "$(cat "$dir/pid")"
    flock -w 10 "$dir/pid" true
fi

step "Starting the daemon without Xen in $dir"
printf '%s\n' "xenstored-log-file = $dir/rxenstored.log" "access-log-file = $dir/access.log" \
    'access-log-transactions-ops = true' >"$dir/rxenstored.conf"
# It returns when clients can connect, as distributions' start scripts expect.
XENSTORED_RUNDIR=$dir "$bin/rxenstored" --no-domain-init --pid-file "$dir/pid" \
    --config-file "$dir/rxenstored.conf"
export XENSTORED_PATH=$dir/socket
echo "pid $(cat "$dir/pid"), socket $XENSTORED_PATH"

step "Loading the tree of a host with three guests"
"$bin/xenstore" load demo/host.json
"$bin/xenstore" ls /local/domain/1 | head -n 12
echo "… and $("$bin/xenstore" ls -f / | wc -l) nodes in all"

step "A watch: somebody waits, somebody else writes"
rm -f "$dir/watch"
timeout 10 "$bin/xenstore" watch -n 2 /local/domain/1/control/shutdown >"$dir/watch" &
watcher=$!
# Its first line comes when the watch is registered.
until [ -s "$dir/watch" ]; do sleep 0.05; done
echo "\$ xenstore write /local/domain/1/control/shutdown poweroff"
"$bin/xenstore" write /local/domain/1/control/shutdown poweroff
wait "$watcher"
sed 's/^/watcher: /' "$dir/watch"

step "A transaction: two writes that become visible together"
echo "\$ xenstore write /demo/first 1 /demo/second 2"
"$bin/xenstore" write /demo/first 1 /demo/second 2
"$bin/xenstore" ls -f -p /demo
echo "The access log has it:"
grep -E ' A[0-9]+\.[0-9]+ ' "$dir/access.log" | tail -n 5

step "The daemon goes on running. To talk to it:"
cat <<TEXT
    export XENSTORED_PATH='$XENSTORED_PATH'
    '$bin/xenstore' --help
    '$bin/xenstore' ls -p /
    '$bin/xenstore' watch /local
    kill "\$(cat '$dir/pid')"        # to stop it
TEXT
