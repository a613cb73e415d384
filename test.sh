#!/usr/bin/env bash
# Installs what the tests need and runs all of them.
#
#     ./test.sh            everything, some minutes
#     FUZZ_SECONDS=600 ./test.sh     with more time for each fuzz target
#
# The tests compare the daemon with Debian's two and serve Debian's tools, so they need
# Debian's packages; on another system install their like and set SKIP_INSTALL=1. Debian's
# daemons have their paths built in, so each runs in a mount namespace of its own, which
# takes root.
set -euo pipefail
cd "$(dirname "$0")"
packages=(xen-utils-4.17 xenstore-utils libxen-dev gcc g++ make cpio perl xz-utils valgrind strace)
fuzz_seconds=${FUZZ_SECONDS:-20}

if [ "$(id -u)" -ne 0 ]; then
    echo "test.sh: needs root, to run Debian's daemons in mount namespaces" >&2
    exit 1
fi

run() {
    printf '\n== %s\n' "$*"
    "$@"
}

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
        missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ] && [ -z "${SKIP_INSTALL:-}" ]; then
    run apt-get update -q
    run env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

run cargo fmt --all --check
run cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
RUSTDOCFLAGS='-D warnings' run cargo doc --locked --workspace --no-deps --all-features
# The tests of other crates drive the daemon's program.
run cargo build --locked --workspace --all-features --bins
run cargo test --locked --workspace --all-features
run fuzz/run.sh "$fuzz_seconds"
# What a request costs in things that can be counted, and that all workloads run. Times are not
# judged: whoever runs this has another machine, or uses it.
run cargo run --locked --release -p xenstore-bench -- counts
run cargo run --locked --release -p xenstore-bench -- --quick
# A real Xen host in an emulator. Where there can be none, that is said and not failed for.
hosts=0
run e2e/run --short || hosts=$?
[ $hosts = 0 ] || [ $hosts = 77 ] || exit $hosts
if [ $hosts = 77 ]; then
    printf '\nAll passed, but no real Xen host was booted: see above.\n'
else
    printf '\nAll passed.\n'
fi
