# Sourced by tests of the gate: a workload that reports what it is told, two cells with gates, and what was decided.
source "$(dirname "$0")/lib.bash"

cat >"$work/conf/workloads.yaml" <<YAML
workloads:
  - name: fake
    bin: "{build}/tests/hzb_fake_workload"
    argv: ["{ms}", "{seed}"]
    params: [ms=1]
    metrics: [{name: ops_per_s, direction: up}]
    timeout_s: 20
YAML
write_allocators <<YAML
allocators:
  - {name: base, preload: "{build}/tests/libhzbfake_a.so", env: [FAKE_NOISE=1]}
  - {name: copy, inherits: base}
  - {name: equal, inherits: base, env: [FAKE_NOISE=2]}
  - {name: again, inherits: base, env: [FAKE_NOISE=3]}
  - {name: slow, inherits: base, env: [FAKE_NOISE=4, FAKE_SLOW_PCT=5]}
  - {name: quick, inherits: base, env: [FAKE_NOISE=5, FAKE_SLOW_PCT=-8]}
  - {name: failing, inherits: base, env: [FAKE_NOISE=6, FAKE_ALLOC_FAILED=1]}
  - {name: crashing, inherits: base, env: [FAKE_MODE=crash, FAKE_SLOW_PCT=-8]}
YAML
# arms CAND [EXTRA LINE...]: two cells, gates and what else is given.
arms() {
    { cat <<YAML
name: m
seed: 1
steal_max_pct: 100
probe: false
gates:
  - {metric: ops_per_s, threshold_pct: 3}
  - {metric: alloc_failed, exact: true}
arms: {base: [base], cand: [$1]}
cells:
  - {id: one, workload: fake, rounds: 10, expect_s: 0.1}
  - {id: two, workload: fake, rounds: 10, expect_s: 0.1}
YAML
    printf '%s\n' "${@:2}"; } | write_matrix
}
# gated [OPTION...]: measures, then decides; sets dir, rc, out.
gated() {
    run_matrix -w "${cells:-one}"
    dir=$out
    run gate "$dir" "$@"
}
# json EXPRESSION: over verdict.json as $v.
json() { perl -MJSON::PP -0ne '$v = decode_json($_); print '"$1"'' "$dir/verdict.json"; }
cell() { # cell METRIC KEY [CELL]
    json "map { \$_->{$2} // 'null' } grep { \$_->{metric} eq '$1' && \$_->{cell_id} eq '${3:-one}' } @{\$v->{cells}}"
}
