# hzb run --lane diag: counts under perf, strace and callgrind, each where it is installed.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

cp "$top/harness/workloads.yaml" "$work/conf/"
echo 'not a library' >"$work/broken.so"
write_allocators <<YAML
allocators:
  - name: glibc
  - {name: hz3, preload: "{build}/libhakozuna_hz3_scale.so", env: [HZ3_ARENA_SIZE=1G]}
  - {name: broken, preload: $work/broken.so}
YAML
write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
probe: false
arms: {cand: [hz3, broken], refs: [glibc]}
cells:
  - {id: t1, workload: random_mixed, params: [threads=1, remote_pct=0, max=2048, iters=20000], rounds: 1, expect_s: 0.1}
  - {id: t2, workload: random_mixed, params: [threads=2, remote_pct=0, iters=20000], rounds: 2, expect_s: 0.1}
YAML
diag() { run_matrix --lane diag -a 'hz3|glibc' "$@"; }
# count DIR TOOL: rows of that tool, as cell/allocator
count() { awk -F, -v tool="$2" '$3 == tool {print $1 "/" $2}' "$1/diag.csv" | sort -u | paste -sd' '; }
value() { awk -F, -v tool="$2" -v counter="$3" -v who="$4" '$1 == "t1" && $2 == who && $3 == tool && $4 == counter {print $5}' "$1/diag.csv"; }
lacks() { skip "$2" "$1 is not installed"; }

diag
is "$rc" 0 'the diagnostic lane runs'
one=$out
is "$(csv_column "$one/runs.csv" status | sort | uniq -c | tr -s ' ')" ' 6 ok' 'after the measurement'
is "$(count "$one" rusage)" 't1/glibc t1/hz3 t2/glibc t2/hz3' 'page faults are counted for all, once a cell'
if command -v strace >/dev/null; then
    is "$(count "$one" strace)" 't1/glibc t1/hz3 t2/glibc t2/hz3' 'so are system calls'
    like "$(value "$one" strace mmap hz3)" '^[1-9][0-9]*$' 'by name'
else
    lacks strace 'system calls'
fi
if command -v valgrind >/dev/null; then
    is "$(count "$one" callgrind)" 't1/glibc t1/hz3' 'instructions are counted where there is one thread'
    diag -w t1
    # To 1e-6 on a quiet machine; here others may be running, and the workload's main thread wakes up by the clock.
    is "$(awk -v a="$(value "$one" callgrind instructions hz3)" -v b="$(value "$out" callgrind instructions hz3)" \
        'BEGIN {print (a > 100000 && (a - b) ^ 2 < (0.05 * a) ^ 2)}')" 1 'and are alike in two runs'
else
    lacks valgrind 'instruction counts'
fi
run report "$one" --scripts "$top/plots"
grep -q 'id="diagnosis"' "$one/report.html" && grep -q '<td>page-faults, rusage</td>' "$one/report.html"
ok $? 'the report shows them'

mkdir "$work/bin"
for tool in env timeout sha256sum git; do ln -s "$(command -v $tool)" "$work/bin/"; done
PATH=$work/bin diag -w t1
is "$rc" 0 'without the tools it still runs'
like "$err" 'diag: perf is not installed: left out.*strace is not installed.*valgrind is not installed' 'and names each'
if command -v strace >/dev/null; then
    run_matrix --lane diag -a broken -w t1
    is "$rc" 74 'a library that cannot be preloaded is an error'
    like "$err" 'diag: t1, broken: .*cannot be preloaded' 'that says so'
else
    lacks strace 'a library that cannot be preloaded'
fi
run_matrix --lane fast
is "$rc" 64 'an unknown lane is an error'
like "$err" "--lane 'fast': expected measure or diag" 'that says what is known'
done_testing
