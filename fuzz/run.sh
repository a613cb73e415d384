#!/bin/bash
# run.sh SECONDS [TARGET...]: fuzzes each target for so long, beginning with its seeds,
# and fails if one crashes, hangs or grows. The input that did it is left in
# fuzz/artifacts/TARGET; `fuzz/run.sh 0 TARGET` plays the seeds only.
#
# Needs a C++ compiler for libFuzzer and nothing else: with these flags the stable
# compiler counts coverage. `cargo fuzz run --sanitizer none TARGET` works as well.
set -eu
cd "$(dirname "$0")"
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
[ $# -gt 0 ] || set -- decoder request names engine ring
host=$(rustc -vV | sed -n 's/^host: //p')
flags=(--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares)
RUSTFLAGS=${flags[*]} cargo build --quiet --release --target "$host" --bins
for target; do
  echo "fuzzing $target for $seconds s"
  mkdir -p "corpus/$target" "artifacts/$target"
  # A run of 0 s is one over the seeds; libFuzzer itself would take it as for ever.
  if [ "$seconds" -eq 0 ]; then limit=-runs=0; else limit=-max_total_time=$seconds; fi
  "${CARGO_TARGET_DIR:-target}/$host/release/$target" "$limit" \
    -artifact_prefix="artifacts/$target/" -timeout=10 -rss_limit_mb=1024 -max_len=8192 \
    -print_final_stats=1 -verbosity=0 "corpus/$target" "seeds/$target" ||
    { echo "$target failed: see artifacts/$target" >&2; exit 1; }
done
