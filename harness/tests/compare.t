# Two revisions compared and a slowdown bisected, in a repository made here: its "allocator" tells the workload, by the
# environment, how slow it is to be, so that the figures don't depend on the machine.
source "$(dirname "$0")/lib.bash"

# --- 16 commits and two branches ---
repo=$work/repo build=$work/build
mkdir -p "$repo/allocator" "$build"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a \
    GIT_COMMITTER_EMAIL=a@b
unset MAKEFLAGS MAKELEVEL
g() { git -C "$repo" "$@"; }
g init -q -b trunk
cat >"$repo/allocator/Makefile" <<'MAKE'
all_ldpreload_scale: $(BUILD)/libhakozuna_hz3_scale.so
$(BUILD)/libhakozuna_hz3_scale.so: lib.c
	@echo x >>$(BUILD)/../../built
	gcc -g -fPIC -shared $< -o $@
MAKE
# library NOISE SLOW_PCT
library() {
    cat >"$repo/allocator/lib.c" <<C
#include <stdlib.h>
__attribute__((constructor)) static void tell(void)
{
    setenv("FAKE_NOISE", "$1", 1);
    setenv("FAKE_SLOW_PCT", "$2", 1);
}
C
}
commit() { # commit SUBJECT: sets sha
    g add -A
    g commit -q -m "$1"
    sha=$(g rev-parse HEAD)
}
shas=()
for i in {0..16}; do
    library "$i" $((i >= 11 ? 5 : 0))
    ((i != 8)) || echo 'no C' >"$repo/allocator/lib.c"
    commit "step $i"
    shas[i]=$sha
done
good=${shas[0]} bad=${shas[16]} broken=${shas[8]}

cat >"$work/conf/workloads.yaml" <<YAML
workloads:
  - name: fake
    bin: $BUILD/tests/hzb_fake_workload
    argv: ["{ms}", "{seed}"]
    params: [ms=1]
    metrics: [{name: ops_per_s, direction: up}, {name: idle_rss_kib, direction: down}]
    timeout_s: 20
  - name: other
    bin: $BUILD/tests/hzb_fake_workload
    argv: ["{ms}", "{seed}"]
    params: [ms=1]
    metrics: [{name: ops_per_s, direction: up}]
    timeout_s: 20
YAML
write_allocators <<YAML
allocators:
  - name: hz3
    preload: "{build}/not_built.so"
    env: [FROM_HZ3=1]
  - {name: a, preload: $BUILD/tests/libhzbfake_a.so, env: [FAKE_NOISE=1]}
  - {name: trunk, inherits: a}
YAML
write_matrix <<YAML
name: m
seed: 1
steal_max_pct: 100
probe: false
arms: {base: ["baseline:nobody"], cand: [hz3]}
gates:
  - {metric: ops_per_s, threshold_pct: 3}
  - {metric: idle_rss_kib, threshold_pct: 5}
  - {metric: alloc_failed, exact: true}
confirm: true
cells:
  - {id: one, workload: fake, rounds: 8, expect_s: 0.1}
  - {id: two, workload: other, rounds: 8, expect_s: 0.1}
YAML
cd "$repo" || exit 1
places=(--matrix "$matrix" -o "$results" --build "$build" --lock "$work/lock")
compare() { run compare "$@" "${places[@]}" --scripts "$scripts"; }
bisect() { run bisect "$@" "${places[@]}"; }
scripts=$(cd "$OLDPWD" && cd "$(dirname "$0")/../../plots" && pwd)
folders() { find "$results" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | wc -l; }
is_untouched() { # is_untouched NAME: the repository is as it was, and only whole libraries are kept
    is "$(g worktree list | wc -l) $(g status --porcelain) $(g rev-parse --abbrev-ref HEAD) $(g for-each-ref | grep -c bisect) $(
        find "$build/revs" -mindepth 1 -maxdepth 1 -type d ! -regex '.*/[0-9a-f]*')" '1  trunk 0 ' "$1"
}

# --- what is refused ---
compare "$good"
like "$rc $err" '^64 hzb: expected two to compare, got 1' 'one side alone is refused'
compare "$good" nobody
like "$rc $err" "^64 .*'nobody': expected a git revision, an allocator of .*allocators.yaml, baseline:NAME or the path of a library" \
    'and a word that means nothing'
compare trunk "$good"
like "$rc $err" "^64 .*'trunk' means several things; write one of: allocator:trunk rev:trunk$" 'and one that means two things'
touch trunk
compare trunk "$good"
like "$rc $err" 'write one of: allocator:trunk rev:trunk ./trunk$' 'or three'
rm trunk
compare "$good" "$bad" -w three
like "$rc $err" '^64 .*leave no cell of the matrix, which has: one, two' 'a cell that is not there is named beside those that are'
compare "$good" "$bad" --metric speed
like "$rc $err" "^64 .*'speed': expected a gate of the matrix: ops_per_s, idle_rss_kib, alloc_failed" 'so is a metric'
compare "$good" "$bad" --metric idle_rss_kib -w two
like "$rc $err" "^64 .*'idle_rss_kib': no cell that is left has it" 'which the cell must have'
is "$(ls "$build")" '' 'all before anything is built'
compare "$good" "$broken"
like "$rc $err" "^64 .*revision ${broken:0:10}: make failed:.*lib.c:1:" 'a failed build says what failed'
is "$(cd "$build/revs" && echo */)" "$good/" 'and leaves no half-made folder'

# --- a comparison ---
compare "$good" HEAD -w one --metric ops_per_s
dir=${out%%$'\n'*}
is "$rc" 10 'a slow revision is a regression'
like "$out" 'one +ops_per_s +rev:'"${bad:0:10} : rev:${good:0:10}"'.*REGRESSION, confirmed' 'by the gate, with base and candidate in order'
like "$out" 'report.html' 'and it is reported'
[[ -s $dir/report.html && -s $dir/verdict.json && -s $dir/manifest.json && $dir == *_compare ]]
ok $? 'in a folder as any other'
is "$(csv_column "$dir/runs.csv" allocator | sort -u | wc -l)" 2 'with these two arms alone'
like "$(<"$dir/manifest.json")" 'FROM_HZ3=1' 'that get the environment of hz3'
is "$(perl -MJSON::PP -0ne 'print map { $_->{metric} } @{decode_json($_)->{cells}}' "$dir/verdict.json")" ops_per_s 'by the gate that was asked for'
is_untouched 'the worktree is gone'
sed -i '9,$d' "$dir/runs.csv"
run resume "$dir" --lock "$work/lock"
is "$rc $(wc -l <"$dir/runs.csv")" "0 $(wc -l <"$dir/plan.csv")" 'which resume can go on with'
lines=$(wc -l <"$build/built")
compare "rev:$good" "${shas[1]}" -w one
is "$rc $(wc -l <"$build/built")" "0 $((lines + 1))" 'what is built already is not built again'
like "$out" "${shas[1]:0:10} : rev:${good:0:10}.*unchanged" 'equal revisions are unchanged'

before=$(folders)
sed -i '1i // a comment' allocator/lib.c
commit 'only words'
compare "$bad" "$sha"
like "$rc $out" "^0 rev:${bad:0:10} and rev:${sha:0:10} are identical: .*verdict: identical" 'equal bytes are said to be'
is "$(folders)" "$before" 'and not measured'
compare "$sha" HEAD
like "$rc $out" '^0 .*identical' 'as is a commit beside itself'

cp "$BUILD/tests/libhzbfake_b.so" "$work/old-b.so"
compare a "$work/old-b.so" -w one --metric ops_per_s
like "$rc $out" '^0 .*old-b:'"$(sha256sum "$work/old-b.so" | cut -c1-8) : a " 'an allocator is compared with a library'
run baseline set kept a -o "$results" --config "$work/conf"
compare baseline:kept ../old-b.so -w one --dry-run
like "$rc $err" '^0 .*32 processes, 2 allocators' 'a baseline with another'

built=$(wc -l <"$build/built")
for i in 2 3; do
    "$hzb" compare "${shas[4]}" "${shas[5]}" "${places[@]}" --dry-run >"$work/out.$i" 2>"$work/err.$i" &
    pids[i]=$!
done
wait "${pids[2]}"
first=$?
wait "${pids[3]}"
is "$first $? $(wc -l <"$build/built")" "0 0 $((built + 2))" 'two at once build each revision once'

# --- as git bisect run asks ---
step() { compare "$good" "$@" -w one --metric ops_per_s --bisect; }
step "${shas[2]}"
is "$rc" 0 'as a step of a bisection: not worse'
step "$bad"
is "$rc" 1 'worse'
like "$err" "${bad:0:10} step 16: ops_per_s in one: -[0-9.]+ % \\(.* % .. .* %\\), REGRESSION, confirmed" 'which is said in a line'
step "$broken"
is "$rc" 125 'not to be built'
step "$bad" --rounds 3
is "$rc" 125 'inconclusive'
step nobody
is "$rc" 255 'no revision: give up'

# --- a bisection ---
bisect "$good" "$bad" -w one --metric ops_per_s
is "$rc" 0 'a planted slowdown is found'
like "$out" "worse than ${good:0:10}:"$'\n'"${shas[11]:0:10} .*step 11"$'\n'"ops_per_s in one: -[45]\\.[0-9]+ % \\(.*\\), REGRESSION, confirmed"$'\n'"$results/" \
    'with its change, interval and record'
like "$err" "revision ${broken:0:10}: make failed" 'past a commit that cannot be built'
is_untouched 'and the tree is not touched'
bisect "${shas[10]}" "${shas[11]}" -w one --metric ops_per_s
like "$rc $out" "^0 .*${shas[11]:0:10} .*step 11" 'also with nothing in between'

bisect "$good" "${shas[10]}" -w one --metric ops_per_s
like "$rc $err" "^11 .*${shas[10]:0:10} is not confirmed worse than ${good:0:10}: ops_per_s in one: .*unchanged" 'what is not worse is not bisected'
bisect "$bad" "$good" -w one --metric ops_per_s
like "$rc $err" "^64 .*'$bad' is not an ancestor of '$good'" 'nor what lies the wrong way'
bisect HEAD trunk -w one --metric ops_per_s
like "$rc $err" "^64 .*'HEAD' and 'trunk' are the same commit" 'nor a commit with itself'
bisect "$good" a -w one --metric ops_per_s
like "$rc $err" "^64 .*'a': expected a git revision" 'nor an allocator'
bisect "$good" "$bad" -w one
like "$rc $err" '^64 .*expected -w CELL and --metric COLUMN' 'it takes a metric'
bisect "$good" "$bad" -w . --metric ops_per_s
like "$rc $err" "^64 .*-w '.': expected one cell, not 2: one, two" 'and one cell'
bisect "$good" "$bad" -w three --metric ops_per_s
like "$rc $err" '^64 .*which has: one, two' 'that exists'
is_untouched 'what is refused leaves nothing'

g checkout -q -b gap "$good"
echo 'no C' >allocator/lib.c
commit 'gap'
gap=$sha
library 3 5
commit 'slow again'
bisect "$good" gap -w one --metric ops_per_s
like "$rc $out" "^11 The first commit .* is one of these.*${sha:0:10}  slow again"$'\n'"${gap:0:10}  gap" 'commits that give no answer are left over'
g checkout -q trunk

"$hzb" bisect "$good" "$bad" -w one --metric ops_per_s "${places[@]}" >"$work/out" 2>"$work/err" &
pid=$!
until_true 20 test -e "$build/revs/bisect/.git"
ok $? 'a bisection under way'
kill -TERM "$pid"
wait "$pid"
is $? 130 'is interrupted by a signal'
is_untouched 'and cleans up'
done_testing
