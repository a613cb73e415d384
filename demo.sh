#!/usr/bin/env bash
# Builds the daemon, starts it on a simulated host, boots three guests on it as xl and Linux
# do, and shows what is said. Needs Rust and nothing else, takes a second after the build, and
# leaves nothing behind.
#
#     ./demo.sh            what is long and not new is counted
#     ./demo.sh --all      every request and every event
#     ./demo.sh --stay     the host goes on until Ctrl-C, to be talked to from elsewhere
set -euo pipefail
cd "$(dirname "$0")"

cargo build --release --locked --bins -p rxenstored -p xenstore-cli -p xenstore-demo
bin=${CARGO_TARGET_DIR:-target}/release

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# All the daemon and its host keep lies in there.
TMPDIR=$dir "$bin/xenstore-demo" "$@"
