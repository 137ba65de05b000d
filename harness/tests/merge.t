# Slices of a plan, and their way back into one folder.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

# The quick matrix in small, through GNU parallel as contrib/ has it.
mkdir -p "$work/quick/matrix"
cp "$top/harness/allocators.yaml" "$top/harness/workloads.yaml" "$work/quick/"
sed -E 's/iters=[0-9]+/iters=2000/; s/objs=[0-9]+/objs=500/; s/idle_s=[0-9]+/idle_s=0.05/; s/rounds: .*/rounds: 2/
    s/^seed:/steal_max_pct: 100\nprobe: false\nseed:/' "$top/harness/matrix/quick.yaml" >"$work/quick/matrix/quick.yaml"
quick=$work/quick/matrix/quick.yaml
run plan "$quick"
is "$rc" 0 'the whole is planned'
echo "$out" >"$work/plan.csv"

for i in 1 2 3; do "$hzb" plan "$quick" --shard $i/3 2>/dev/null | tail -n +2 | sed "s/^/$i /"; done >"$work/dealt"
is "$(sort -n -t' ' -k2 "$work/dealt" | cut -d' ' -f2-)" "$(tail -n +2 "$work/plan.csv")" 'the slices are the whole, no row twice'
is "$(awk -F, '{split($1, s, " "); print s[1], $4}' "$work/dealt" | sort -u | cut -d' ' -f2 | sort | uniq -d)" '' 'a cell is in one slice only'
is "$(cut -d' ' -f1 "$work/dealt" | sort -u | wc -l)" 3 'every slice has some'

run plan "$quick" --shard 5/5
is "$rc" 64 'more slices than cells are an error'
like "$err" '--shard 5/5: the matrix has 4 cells' 'that says so'
for bad in 0/3 4/3 1 x/3 1/; do
    run plan "$quick" --shard $bad
    is "$rc" 64 "--shard $bad is an error"
    like "$err" "--shard '$bad': expected I/N" '... that names it'
done

if command -v parallel >/dev/null; then
    # The script starts from the repository's top; its matrix is named from there.
    matrix_name=$(realpath --relative-to="$top/harness/matrix" "${quick%.yaml}")
    HZB=$hzb HZB_OPTIONS="--config $work/quick -o $results --lock $work/lock" \
        bash "$top/harness/contrib/parallel.sh" "$matrix_name" "$work/merged" 3 >"$work/out" 2>"$work/err"
    is $? 0 'three slices run through GNU parallel and merge'
    is "$(tail -1 "$work/out")" "$work/merged" 'the new folder is named'
    is "$(awk '$7 == 0' "$work/merged.slices.joblog" | wc -l)" 3 'all three jobs ended well'
else
    echo "# GNU parallel is not installed: the slices run without it"
    folders=()
    for i in 1 2 3; do
        run run "$quick" --shard $i/3 --config "$work/quick" -o "$results" --lock "$work/lock"
        folders+=("$out")
    done
    run merge -o "$work/merged" "${folders[@]}"
fi
merged=$work/merged
cmp -s "$work/plan.csv" "$merged/plan.csv"
ok $? 'the plan is that of the unsliced matrix'
for column in seq round slot cell_id params allocator seed; do
    is "$(csv_column "$merged/runs.csv" $column)" "$(csv_column "$work/plan.csv" $column)" "$column is the plan's, row by row"
done
is "$(csv_column "$merged/runs.csv" status | sort | uniq -c | tr -s ' ')" "$(echo " $(($(wc -l <"$work/plan.csv") - 1)) ok")" 'all are ok'
is "$(ls "$merged/rss" | wc -l) $(ls "$merged/logs" | wc -l)" \
    "$(($(wc -l <"$work/plan.csv") - 1)) $((($(wc -l <"$work/plan.csv") - 1) * 2))" 'curves and logs came along'
is "$(csv_column "$merged/counters.csv" seq | sort -un | paste -sd' ')" \
    "$(paste -d' ' <(csv_column "$work/plan.csv" allocator) <(csv_column "$work/plan.csv" seq) | awk '/^hz3/ {print $2}' | sort -n | paste -sd' ')" \
    'so did the counters of every hz3'
like "$(perl -MJSON::PP -0ne 'my $m = decode_json($_); print "$m->{run_id} ", scalar @{$m->{shards}}' "$merged/manifest.json")" \
    '^[0-9]{8}T[0-9]{6}Z_merged 3$' 'the manifest names the shards, and the run by time and folder'
run table "$merged"
is "$rc $(grep -c '^mixed\|^burst' <<<"$out")" '0 4' 'hzb table reads it'

# What does not belong together, over the fake matrix.
slice() { run_matrix --shard "$@"; }
slice 1/2 --rounds 1; one=$out
slice 2/2 --rounds 1; two=$out
slice 2/2 --rounds 1 --seed 5; other_plan=$out
cp -r "$two" "$work/other_library"
sha=$(csv_column "$two/runs.csv" lib_sha256 | grep . | head -1)
sed -i "s/$sha/${sha//[0-9]/0}/" "$work/other_library/manifest.json"
refused() { # refused REGEX NAME FOLDER...
    run merge -o "$work/none" "${@:3}"
    is "$rc" 64 "$2"
    like "$err" "$1" '... naming it'
}
refused "another plan: line 2 of plan_whole.csv is '1,1,1,one,.*' and '1,1,1,one," 'another plan is refused' "$one" "$other_plan"
refused "$one and $work/other_library: library '[ab]' is '$sha' and '${sha//[0-9]/0}'" 'another library is refused' "$one" "$work/other_library"
refused "$one and $one: both have seq 1 \(cell one\)" 'the same slice twice is refused' "$one" "$two" "$one"
refused 'expected two or more folders and -o' 'one folder is refused' "$one"
run merge -o "$work/quick" "$one" "$two"
is "$rc" 64 'a folder that is there is refused'
like "$err" "-o $work/quick: is there already" '... naming it'
run_matrix --rounds 1
run merge -o "$work/none" "$one" "$out"
is "$rc" 74 'what is no slice is refused'
like "$err" "$out/plan_whole.csv: No such file" '... naming it'
[[ ! -e $work/none ]]
ok $? 'and nothing is left behind'
slice 1/2 --rounds 1 -a '^a$'; small_one=$out
slice 2/2 --rounds 1 -a '^a$'; small_two=$out
sed -i '$d' "$small_two/runs.csv"
run merge "$small_one" "$small_two" -o "$work/lacking"
is "$rc" 12 'a sample that is not there yet makes exit code 12'
like "$err" "samples of cell 'two' are missing" '... naming the cell'

if command -v systemd-analyze >/dev/null; then
    # The example's own folder and user are not here.
    mkdir "$work/units"
    cp "$top"/harness/contrib/hzb-nightly.* "$work/units/"
    sed -i "s|/srv/hz3|$top|; s|^User=.*|User=root|" "$work/units/hzb-nightly.service"
    said=$(systemd-analyze verify --man=no --recursive-errors=no "$work/units/hzb-nightly.service" "$work/units/hzb-nightly.timer" 2>&1)
    is "$? $said" '0 ' 'systemd takes the service and the timer'
else
    skip 'systemd takes the service and the timer' 'systemd-analyze is not installed'
fi
done_testing
