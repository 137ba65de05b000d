# contrib/review: pages about result folders whose figures are set here, and what the repository shows of its own.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)
review=$top/harness/contrib/review
cd "$work" || exit 1

# write_arms NAME...: all of them are library a, told apart by their environment.
write_arms() {
    echo allocators:
    printf '  - {name: %s, preload: "{build}/tests/libhzbfake_a.so", stats_file_env: HZ3_STATS_FILE, env: [ARM=%s]}\n' \
        $(for arm; do echo "$arm" "$arm"; done)
}
# figures FOLDER: lines "CELL ALLOCATOR COLUMN VALUE..." on stdin, a value for each round; "-" fails the sample.
figures() {
    perl -we '
        my (%of, @names);
        while (<STDIN>) {
            my ($cell, $arm, $column, @values) = split;
            $of{$cell}{$arm}{$column} = \@values;
        }
        @ARGV = "$ARGV[0]/runs.csv";
        $^I = "";
        while (<>) {
            chomp;
            my (@fields, %row) = split /,/, $_, -1;
            @names = @fields unless @names;
            @row{@names} = @fields;
            my $set = $of{$row{cell_id}}{$row{allocator}};
            for (keys %$set) {
                $row{$_} = $set->{$_}[$row{round} - 1];
                $row{status} = "failed" if $row{$_} eq "-";
            }
            print join(",", @row{@names}), "\n";
        }' "$1"
}
review() { # review ARGS...: sets rc, out, err
    "$review" "$@" >"$work/out" 2>"$work/err"
    rc=$?
    out=$(<"$work/out") err=$(<"$work/err")
}
has() { # has FILE LINE NAME
    grep -qxF -- "$2" "$1"
    local found=$?
    ok $found "$3"
    ((found == 0)) || { echo "# expected: $2"; sed 's/^/#     file: /' "$1" | grep -F -- "${2:0:24}"; }
}

claim() { # claim VERDICT "CELL ARM METRIC AGAINST BOUND FIGURE FROM TO" NAME; ~ is a blank
    local words=($2)
    has pages/S65.md "$(printf '| %s ' "$1" "${words[@]}" | sed 's/~/ /g')|" "$3"
}
# own_claims MATRIX CELLS: what the shipped matrix says of these cells.
own_claims() { sed -n '/^derived:/,/^cells:/p' "$top/harness/matrix/$1.yaml" | grep -E "^derived:|^claims:|name:|cell: ($2),"; }

# ---- S65
write_arms hz3 hz3_s65_off jemalloc mimalloc | write_allocators
write_matrix <<YAML
name: s65
seed: 1
steal_max_pct: 100
arms: {cand: [hz3, hz3_s65_off], refs: [jemalloc, mimalloc]}
$(own_claims s65 'burst_asleep|burst_ticks|burst_keep20|mixed_t2_r0|mixed_t2_r50')
cells:
  - {id: burst_asleep, workload: fake, params: [ms=5], rounds: 3, expect_s: 0.1}
  - {id: burst_ticks, workload: fake, params: [ms=5], rounds: 1, expect_s: 0.1}
  - {id: burst_keep20, workload: fake, params: [ms=5], rounds: 1, expect_s: 0.1}
  - {id: mixed_t2_r0, workload: fake, params: [ms=5], rounds: 6, expect_s: 0.1}
  - {id: mixed_t2_r50, workload: fake, params: [ms=5], rounds: 3, expect_s: 0.1}
YAML
run_matrix
s65=$out
figures "$s65" <<'TXT'
burst_asleep hz3 peak_rss_kib 102400 409600 204800
burst_asleep hz3 idle_rss_kib 4096 1024 2048
burst_asleep hz3 purged_pages 1000 1000 1000
burst_asleep hz3 madvise_calls 10 11 12
burst_asleep hz3_s65_off peak_rss_kib - 1024 3072
burst_asleep hz3_s65_off idle_rss_kib - 1024 2048
burst_asleep hz3_s65_off purged_pages - 0 0
burst_asleep hz3_s65_off madvise_calls - 0 0
burst_ticks hz3 peak_rss_kib 1000
burst_ticks hz3 idle_rss_kib 10
burst_keep20 hz3 idle_rss_kib 71
burst_keep20 jemalloc idle_rss_kib 200
burst_keep20 mimalloc idle_rss_kib 100
mixed_t2_r0 hz3 ops_per_s 97 100 100 200 100 101
mixed_t2_r0 hz3_s65_off ops_per_s 100 100 100 200 100 100
mixed_t2_r0 hz3 minflt 106 107 108 106 107 108
mixed_t2_r0 hz3_s65_off minflt 100 100 100 100 100 100
mixed_t2_r50 hz3 ops_per_s 97 97 100
mixed_t2_r50 hz3_s65_off ops_per_s 100 100 100
mixed_t2_r50 hz3 minflt 100 100 100
mixed_t2_r50 hz3_s65_off minflt 100 100 100
TXT
review -o pages S65 "$s65"
is "$rc $err" '0 ' 'a review of S65 is written'
has pages/S65.md '| hz3 | 200.0 | 2.0 | 0.010 | 1000 | 11 | 90.909 |' '... with medians'
has pages/S65.md '| hz3_s65_off | 2.0 | 1.5 | 0.750 | 0 | 0 | - |' '... of the samples that count'
claim holds 'burst_ticks hz3 kept - at~most~0.02 0.01 0.01 0.01' 'a claim holds'
claim open 'burst_asleep hz3 pages_per_call - at~least~100 90.91 83.33 100' '... or is open'
claim open 'burst_ticks hz3 pages_per_call - at~least~100 - - -' '... or was not measured'
claim fails 'burst_keep20 hz3 idle_rss_kib mimalloc at~most~0.7 0.71 0.71 0.71' '... or fails'
has pages/S65.md '| mixed_t2_r50: speed | 0.970 | 1.000 |' '... and stands in the table of costs'
has pages/S65.md 'NO-GO as it stands: a claim above fails.' 'a failed claim decides'
grep -q 'S65_burst_asleep.svg' pages/S65.md && [[ -s pages/S65_burst_asleep.svg && -s pages/S65_burst_keep20.svg ]]
ok $? 'the curves stand beside it'
like "$(<pages/S65.md)" 'rounds: 1, 2, 3, 6\. Samples that do not count: 1 failed\.' 'it says what it is made of'

run_matrix -w 'keep20|asleep|mixed_t2_r0'
again=$out
figures "$again" <<'TXT'
burst_asleep hz3 peak_rss_kib 1000 1000 1000
burst_asleep hz3 idle_rss_kib 10 10 10
burst_asleep hz3 purged_pages 1100 1100 1100
burst_asleep hz3 madvise_calls 11 11 11
burst_keep20 hz3 idle_rss_kib 70
burst_keep20 jemalloc idle_rss_kib 200
burst_keep20 mimalloc idle_rss_kib 100
mixed_t2_r0 hz3 ops_per_s 99 99 99 99 99 99
mixed_t2_r0 hz3_s65_off ops_per_s 100 100 100 100 100 100
mixed_t2_r0 hz3 minflt 100 100 100 100 100 100
mixed_t2_r0 hz3_s65_off minflt 100 100 100 100 100 100
TXT
review -o pages S65 "$s65" "$again"
claim holds 'burst_asleep hz3 pages_per_call - at~least~100 100 100 100' 'what a later folder has counts instead'
claim holds 'burst_keep20 hz3 idle_rss_kib mimalloc at~most~0.7 0.7 0.7 0.7' '... up to the limit'
claim open 'mixed_t2_r50 hz3 ops_per_s hz3_s65_off at~least~0.98 0.97 0.97 1' '... and what it has not stays'
has pages/S65.md '| mixed_t2_r50: speed | 0.970 | 1.000 |' '... and nothing else changes'
has pages/S65.md 'Open: not every claim was measured.' '... so no claim fails'

# ---- S45
write_arms s45_seeds s45_steal s45_default s45_default_4g s45_fallback s45_mark_alone s45_no_mark | write_allocators
write_matrix <<YAML
name: s45
seed: 1
steal_max_pct: 100
arms: {base: [s45_seeds], cand: [s45_steal, s45_default, s45_default_4g, s45_fallback, s45_mark_alone, s45_no_mark]}
derived:
  - {name: arena_full, expr: live_at_fail_kib / 1048576, direction: up}
claims:
  - {cell: fill_16_2048, arm: s45_seeds, metric: arena_full, at_least: 0.5}
  - {cell: fill_16_2048, arm: s45_seeds, metric: arena_full, at_most: 0.7}
cells:
  - {id: live_80, workload: fake, params: [ms=5], rounds: 1, expect_s: 0.1}
  - {id: live_105, workload: fake, params: [ms=5], rounds: 1, expect_s: 0.1}
  - {id: fill_16_2048, workload: fake, params: [ms=5], rounds: 2, expect_s: 0.1}
  - {id: mark_instructions, workload: fake, params: [ms=5], rounds: 1, expect_s: 0.1}
  - {id: mark_time, workload: fake, params: [ms=5], rounds: 1, expect_s: 0.1}
YAML
run_matrix
s45=$out
figures "$s45" <<'TXT'
live_80 s45_default ops_per_s 1500000
live_80 s45_default_4g ops_per_s 2000000
live_80 s45_default peak_rss_kib 10240
live_105 s45_seeds alloc_failed 700
live_105 s45_seeds live_at_fail_kib 524288
live_105 s45_seeds reclaim_calls 4
live_105 s45_seeds reclaim_pages 12
live_105 s45_steal alloc_failed 300
fill_16_2048 s45_seeds live_at_fail_kib 524288 786432
fill_16_2048 s45_default_4g live_at_fail_kib 1048576 1048576
mark_instructions s45_mark_alone instructions 100020
mark_instructions s45_no_mark instructions 100000
mark_time s45_mark_alone ops_per_s 2000000
mark_time s45_no_mark ops_per_s 2100000
TXT
review -o pages S45 "$s45"
is "$rc $err" '0 ' 'a review of S45 is written'
has pages/S45.md '| `s45_seeds` | 0 | 700, 0.50 |' '... with failures, and how full the arena was'
has pages/S45.md '| `s45_seeds` | - | 4 x 3 |' '... with reclaims'
has pages/S45.md '| `s45_seeds` | 0.625 |' '... with medians'
has pages/S45.md '| `s45_scope` | - | - |' '... with a dash for what did not run'
like "$(<pages/S45.md)" '\| `s45_default` \| 1\.50 M \(0\.75\), 10 MiB ' '... with speed against the larger arena'
has pages/S45.md 'fail in the fullest cell, against 700. This machine has two CPUs, so there are two shards.' \
    '... of the fullest cell'
has pages/S45.md '| holds | fill_16_2048 | s45_seeds | arena_full | - | at least 0.5 | 0.625 | 0.5 | 0.75 |' '... with claims'
has pages/S45.md 'GO: no claim fails. The noise of this machine leaves open what is marked so.' '... and what they come to'
like "$(<pages/S45.md)" 'takes \+0\.020 % instructions, and 2\.00 M operations a second are done with it, 2\.10 M' \
    '... with the low-water mark by itself'
has pages/S45_at_failure.csv 'fill_16_2048,s45_default_4g,0.2500' 'a share of the arena that the variant has'
[[ -s pages/S45_at_failure.svg ]]
ok $? '... is drawn'

# ---- what is refused
refused() { # refused REGEX NAME ARGS...
    review -o none "${@:3}"
    ok $((rc == 0)) "$2"
    like "$err" "$1" '... saying why'
    [[ ! -e none ]]
    ok $? '... and nothing is written'
}
refused "'S64': expected S45, S65 or table" 'a page that does not exist is refused' S64 "$s65"
refused 'expected a result folder' 'a page without a folder is refused' S65
refused 'no sample that counts, expected some of harness/matrix/s45.yaml' 'cells of another matrix are refused' \
    S45 "$s65"
refused "$work/nowhere" 'a folder that is not there is refused' S65 "$work/nowhere"

# ---- what the repository shows is what its samples say
review table
is "$rc" 0 'the table of the README is printed'
[[ $(<"$top/README.md") == *"$out"* ]]
ok $? '... and stands there as it is'
run table --markdown "$top/results/readme"
is "$out" "$(<"$top/results/readme/table.md")" 'results/readme/table.md is what hzb table prints'
done_testing
