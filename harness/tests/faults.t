# Programs that hang, crash, lie or eat memory, and libraries that are not what they should be.
source "$(dirname "$0")/lib.bash"

ram_kib=$(awk '/^MemTotal/ {print $2}' /proc/meminfo)
guard_pct=$(awk -v ram="$ram_kib" 'BEGIN {printf "%.6f", 65536 * 100 / ram}')
echo 'not a library' >"$work/broken.so"
sed -i 's/timeout_s: 20/timeout_s: 4/' "$work/conf/workloads.yaml"
write_allocators <<YAML
allocators:
  - name: good
  - {name: hang, env: [FAKE_MODE=hang, "FAKE_GRANDCHILD=$work/grandchild"]}
  - {name: crash, env: [FAKE_MODE=crash]}
  - {name: nofinal, env: [FAKE_MODE=nofinal]}
  - {name: exit3, env: [FAKE_MODE=exit3]}
  - {name: complains, env: [FAKE_MODE=complain]}
  - {name: garbage, env: [FAKE_MODE=garbage]}
  - {name: eat, env: [FAKE_MODE=eat]}
  - {name: broken, preload: $work/broken.so}
  - {name: a, preload: "{build}/tests/libhzbfake_a.so"}
  - {name: impure, env: ["FAKE_DLOPEN=$BUILD/tests/libhzbfake_a.so"]}
  - {name: impure_a, inherits: a, env: ["FAKE_DLOPEN=$BUILD/tests/libhzbfake_b.so"]}
  - {name: b, preload: "{build}/tests/libhzbfake_b.so"}
  - {name: fallback, env: [FAKE_FALLBACK=0.2]}
  - {name: liar, env: [FAKE_CHECKSUM=1]}
YAML
arms() {
    write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
probe: false
mem_guard_pct: $guard_pct
arms: {cand: [$1]}
cells:
  - {id: one, workload: fake, rounds: 1, expect_s: 0.1}
YAML
}
verdict() { # verdict ALLOCATOR: status (reason)
    paste -d'|' <(csv_column "$dir/runs.csv" allocator) <(csv_column "$dir/runs.csv" status) \
        <(csv_column "$dir/runs.csv" invalid_reason) | awk -F'|' -v who="$1" '$1 == who {print $2 " (" $3 ")"}'
}

arms 'good, hang, crash, nofinal, exit3, complains, garbage, eat, broken, a, impure, fallback'
run_matrix
dir=$out
is "$rc" 12 'bad samples make exit code 12'
is "$(verdict good)" 'ok ()' 'the good arm stays ok'
is "$(verdict hang)" 'timeout (timeout: did not end within 4 s)' 'a program that hangs is killed'
alive "$(<"$work/grandchild")"
ok $((! $?)) 'with all of its children'
is "$(verdict crash)" 'signal (signal: Segmentation fault)' 'a crash is recorded'
is "$(verdict nofinal)" 'failed (protocol: no final line)' 'exit code 0 without a final line is a failure'
is "$(verdict exit3)" 'failed (exit: code 3, see logs)' 'an exit code is recorded'
like "$(verdict complains)" "^failed \\(exit: code 3, see logs; it said 'no room for the ring: 7 of 9' \\(logs/[0-9]+.err\\)\\)$" \
    'a program that fails is quoted, and where the rest is'
is "$(verdict garbage)" "failed (protocol: not a line of HZB1: 'hello')" 'a line that is none of the protocol ends the run'
like "$(verdict eat)" '^memlimit \(memory: [0-9]+ KiB are over the guard of 6553[56]\)$' 'a program that eats memory is killed'
is "$(verdict a)" 'ok ()' 'a library that is mapped is proven'
is "$(verdict broken)" "invalid (proof: $work/broken.so is not mapped)" 'a library that the loader ignored is found out'
is "$(verdict impure)" "invalid (proof: $BUILD/tests/libhzbfake_a.so is mapped, expected the C library's malloc alone)" \
    'the C library alone means alone'
is "$(verdict fallback)" 'invalid (fallback: 0.2000 % of remote frees were local, limit 0.1 %)' 'too many local frees are invalid'
like "$err" 'crash: signal \(signal: Segmentation fault\)' 'bad samples are named at once'
run table "$dir"
like "$out" 'Bad samples, not in the medians:' 'and in the table'

arms 'a, impure_a, b'
run_matrix
dir=$out
is "$(verdict impure_a)" "invalid (proof: $BUILD/tests/libhzbfake_b.so is mapped, expected $BUILD/tests/libhzbfake_a.so)" \
    'two allocators in one process are found out'
is "$(verdict a) $(verdict b)" 'ok () ok ()' 'which is no affair of the others'

arms 'good, liar, a'
run_matrix
dir=$out
is "$rc" 12 'different checksums make exit code 12'
is "$(statuses "$dir/runs.csv" | grep -o =invalid | wc -l)" 3 'and the whole block invalid'
like "$(verdict good)" '^invalid \(block: checksum: .*liar has 0000000000000001' 'with both sums'

export LD_PRELOAD=$BUILD/tests/libhzbfake_a.so
run_matrix
unset LD_PRELOAD
is "$rc" 64 'hzb itself is not preloaded'
done_testing
