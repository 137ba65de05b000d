#!/usr/bin/env bash
# Runs bench_soak under hz3 for SOAK_MIN minutes (30), draws memory over time and says whether RSS/live creeps upwards.
# Writes soak.csv, soak.cycles.csv, soak.svg and soak.md to SOAK_OUT (build/soak). Exit 1: a byte was wrong, or RSS/live
# rises by more than SOAK_LIMIT (0.5) percent an hour.
#     SOAK_LIVE_MIB=64 SOAK_OPS=20000 SOAK_THREADS=2    the load
#     SOAK_LIB=LIBRARY        another allocator, empty for the C library's
#     SOAK_LEAK=N SOAK_CORRUPT=N    faults to be found, as in bench_soak --help
set -euo pipefail
top=$(cd "$(dirname "$0")/../../.." && pwd)
build=$(cd "${BUILD:-$top/build}" && pwd)
minutes=${SOAK_MIN:-30}
limit=${SOAK_LIMIT:-0.5}
lib=${SOAK_LIB-$build/libhakozuna_hz3_scale.so}
out=${SOAK_OUT:-$build/soak}
load=("${SOAK_LIVE_MIB:-64}" "${SOAK_OPS:-20000}" "${SOAK_THREADS:-2}")

# A misspelt library would be ignored, and the C library's allocator be on trial.
[ -z "$lib" ] || [ -r "$lib" ] || { echo "soak: SOAK_LIB: '$lib': there is no such library" >&2; exit 66; }
mkdir -p "$out"
out=$(cd "$out" && pwd)
name=$(basename "${lib:-glibc}" .so)
name=${name#libhakozuna_}
status=0
env ${lib:+"LD_PRELOAD=$lib"} "$build/bench_soak" "$minutes" "${load[@]}" "${SOAK_LEAK:-0}" "${SOAK_CORRUPT:-0}" \
    > "$out/soak.csv" 2> "$out/soak.log" || status=$?
if [ $status -ne 0 ]; then
    echo "soak: FAILS after $(tail -n +2 "$out/soak.csv" | wc -l) samples: $(cat "$out/soak.log")" >&2
    exit $status
fi

verdict=$("$top/allocator/tests/soak/verdict.pl" "$out/soak.csv" "$out/soak.cycles.csv" "$limit") || status=$?
[ $status -le 1 ] || exit $status
gnuplot -c "$top/plots/soak.gp" "$out/soak.csv" "$out/soak.svg" "$name, $minutes minutes of mixed load"
{
    echo "**$name**, $minutes minutes: \`bench_soak $minutes ${load[*]}\`, $(cat "$out/soak.log")."
    echo
    echo "$verdict"
} | tee "$out/soak.md"
rm "$out/soak.log"
exit $status
