# Pinned libraries and variants by build definitions: what is kept, what runs, what is refused.
source "$(dirname "$0")/lib.bash"

cp "$BUILD/tests/libhzbfake_a.so" "$work/lib.so"
write_allocators <<YAML
allocators:
  - {name: plain}
  - {name: lib, preload: $work/lib.so, env: [FAKE_NOISE=1], stats_file_env: HZ3_STATS_FILE}
  - {name: defs, build_defs: -DHZ3_OOM_SHOT=1}
YAML
write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
probe: false
gates: [{metric: ops_per_s, threshold_pct: 3}]
arms: {base: ["baseline:old"], cand: [lib], aa: ["baseline:old"]}
cells:
  - {id: one, workload: fake, params: [ms=1], rounds: 2, expect_s: 0.1}
YAML
baseline() { run baseline "$@" -o "$results" --config "$work/conf"; }

run_matrix
like "$rc $err" "^64 hzb: baseline 'old' is not pinned on this machine; pin one: hzb baseline set old ALLOCATOR" \
    'a baseline that is not there is named'
baseline set old nobody
like "$rc $err" "^64 .*'nobody': not in allocators.yaml" 'so is an unknown allocator'
baseline set old plain
is "$rc" 64 'the C library cannot be kept'
baseline set ../old lib
is "$rc" 64 'a name is no path'
baseline set old lib
is "$rc" 0 'a library is pinned'
sha=$(sha256sum "$work/lib.so" | cut -c1-12)
baseline list
like "$out" "^old +lib +$sha\$" 'and listed with its hash'

run_matrix
is "$rc $(csv_column "$out/runs.csv" status | sort | uniq -c | paste -sd' ' | tr -s ' ')" '0  4 ok 2 skipped' \
    'the same library is not run beside it, but the A/A arm is'
is "$(csv_column "$out/runs.csv" allocator | sort -u | paste -sd' ')" 'aa:baseline:old baseline:old lib' 'under a name of its own'

cp "$BUILD/tests/libhzbfake_b.so" "$work/lib.so"
run_matrix
dir=$out
is "$rc" 0 'a new library runs beside the old one'
is "$(paste -d= <(csv_column "$dir/runs.csv" allocator) <(csv_column "$dir/runs.csv" lib_sha256 | cut -c1-12) | sort -u | grep -c "old=$sha")" \
    2 'which is still the old one'
is "$(csv_column "$dir/runs.csv" status | sort -u)" ok 'proven as any other'

echo x >>"$(echo "$results"/baselines/*/old/library.so)"
run_matrix
like "$rc $err" '^64 .*the library is not the one that was pinned' 'a changed baseline is refused'
baseline set old lib
is "$rc" 0 'it can be set again'
baseline rm old
is "$rc $(ls -A "$results"/baselines/*)" '0 ' 'and removed'
baseline rm old
is "$rc" 64 'once'
baseline frob
is "$rc" 64 'an unknown word is a usage error'

sed -i 's/"baseline:old"/lib/; s/cand: \[lib\], aa.*/cand: [defs]}/' "$matrix"
run run "$matrix" -o "$results" --lock "$work/lock"
dir=$out
is "$rc" 0 'a variant is built and run'
library=$(perl -MJSON::PP -0ne 'print map { $_->{preload} } grep { $_->{name} eq "defs" } @{decode_json($_)->{allocators}}' "$dir/manifest.json")
like "$library" "^$BUILD/variants/[0-9a-f]{16}/libhakozuna_hz3_scale.so\$" 'in a folder of its own'
grep -q 'HZ3_OOM_SHOT=1' "$library"
ok $? 'with its definitions'
before=$(stat -c %Y.%i "$library")
run run "$matrix" -o "$results" --lock "$work/lock"
is "$rc $(stat -c %Y.%i "$library")" "0 $before" 'once'
sed -i 's/-DHZ3_OOM_SHOT=1/-DHZ3_NO_SUCH_KNOB(/' "$work/conf/allocators.yaml"
run_matrix
like "$rc $err" "^64 .*build_defs '-DHZ3_NO_SUCH_KNOB\(': make failed:" 'a variant that does not build says why'
done_testing
