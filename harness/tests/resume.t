# hzb is killed at any moment; resume finishes the same plan.
source "$(dirname "$0")/lib.bash"
sed -i 's/ms=60/ms=200/' "$work/conf/workloads.yaml" # so long that a run can be met in the middle

row_count() { csv_column "$1/runs.csv" seq | wc -l; }
has_rows() { (($(row_count "$1") >= $2)); }

start
until_true 20 has_rows "$dir" 2
kill -9 $pid
wait $pid 2>/dev/null
is "$(($(row_count "$dir") < 15))" 1 'killed in the middle'
cp "$dir/plan.csv" "$work/plan.csv"

for pause in 0.05 0.15 0.1 0.2; do
    "$hzb" resume "$dir" --lock "$work/lock" >/dev/null 2>&1 &
    pid=$!
    sleep $pause
    kill -9 $pid
    wait $pid 2>/dev/null
done
printf 'torn,7,1' >>"$dir/runs.csv"
printf '99,own_counter,5\n99,own' >>"$dir/counters.csv"
run resume "$dir" --lock "$work/lock"
is "$rc" 0 'resume finishes the plan'
is "$(csv_column "$dir/runs.csv" seq)" "$(seq 15)" 'every planned row is there exactly once'
is "$(csv_column "$dir/runs.csv" status | sort -u)" ok 'and ok'
is "$(grep -c ',own_counter,2$' "$dir/counters.csv") $(wc -l <"$dir/counters.csv")" '5 11' 'counters are there exactly once'
cmp -s "$work/plan.csv" "$dir/plan.csv"
ok $? 'the plan is the same'
[[ ! -e $(memory_folder "$dir") ]]
ok $? 'nothing is left in memory files'

start
until_true 20 has_rows "$dir" 1
kill -TERM $pid
wait $pid
is $? 130 'a signal ends it at once'
like "$(<"$work/err")" 'go on with: hzb resume ' 'saying how to go on'
cp -r "$dir" "$work/saved"

cp "$BUILD/tests/libhzbfake_a.so" "$work/liba.so"
write_allocators <<YAML
allocators:
  - name: plain
  - {name: a, preload: $work/liba.so}
  - {name: b, preload: "{build}/tests/libhzbfake_b.so"}
YAML
start
until_true 20 has_rows "$dir" 1
kill -9 $pid
wait $pid 2>/dev/null
rows=$(row_count "$dir")
cp "$BUILD/tests/libhzbfake_b.so" "$work/liba.so"
run resume "$dir" --lock "$work/lock"
is "$rc" 13 'another library is exit code 13'
like "$err" "library 'a' \($work/liba.so\): sha256 was [0-9a-f]{12}, is [0-9a-f]{12}" 'with a message that names it'
is "$(row_count "$dir")" "$rows" 'and nothing is measured'

sed -i 's/"kernel": "[^"]*"/"kernel": "0.0.1"/' "$work/saved/manifest.json"
run resume "$work/saved" --lock "$work/lock"
is "$rc" 13 'another machine is exit code 13'
like "$err" "host: kernel was \"0.0.1\", is \"$(uname -r)\"" 'with a message that names the difference'

write_allocators <<YAML
allocators:
  - {name: a, env: [FAKE_MODE=hang]}
  - name: b
  - name: plain
YAML
child_of() { # sets child; the file has no newline at its end
    read -r child _ <"/proc/$1/task/$1/children"
    [[ -n $child ]]
}
start -a '^a$'
until_true 20 child_of $pid
until_true 20 grep -q fake "$dir/logs/1.out"
kill -9 $pid
wait $pid 2>/dev/null
gone() { ! alive "$child"; }
until_true 20 gone
gone
ok $? 'a measured process dies with hzb'

run resume "$work/none" --lock "$work/lock"
is "$rc" 74 'no such folder is exit code 74'
like "$err" "$work/none" 'which names it'

cp "$BUILD/tests/libhzbfake_a.so" "$work/liba.so"
write_allocators <<YAML
allocators:
  - name: plain
  - {name: a, preload: $work/liba.so}
  - {name: b, preload: "{build}/tests/libhzbfake_b.so"}
YAML
start
until_true 20 has_rows "$dir" 1
cp "$BUILD/tests/libhzbfake_b.so" "$work/liba.new"
mv "$work/liba.new" "$work/liba.so"
wait $pid
is $? 13 'a library that changes while it is measured stops the run'
like "$(<"$work/err")" "$work/liba.so changed while it was being measured" 'with a message that names it'

# What failed is measured again when it is asked for.
write_allocators <<YAML
allocators:
  - name: plain
  - {name: a, preload: "{build}/tests/libhzbfake_a.so"}
  - {name: b, preload: "{build}/tests/libhzbfake_b.so"}
YAML
run_matrix -w two
dir=$out
perl -i -F, -lane '$n++; if ($n == 2 || $n == 5) { s/,ok,,/$n == 2 ? ",timeout,timeout: 20 s," : ",failed,exit: code 3,"/e } print' "$dir/runs.csv"
before=$(sed -n 4p "$dir/runs.csv") # of the first block, which is measured again as a whole
run resume "$dir" --lock "$work/lock"
is "$(csv_column "$dir/runs.csv" status | sort | uniq -c | sort -n | sed 's/^ *//' | paste -sd' ')" '1 failed 1 timeout 4 ok' 'a plain resume leaves a finished record as it is'
run resume "$dir" --again --lock "$work/lock"
is "$rc $(csv_column "$dir/runs.csv" status | sort -u)" '0 ok' 'resume --again measures them again'
like "$err" '2 blocks were measured again' 'and says how many blocks that were'
is "$(csv_column "$dir/runs.csv" seq)" "$(seq 6)" 'in their places'
[[ $(sed -n 4p "$dir/runs.csv") != "$before" ]]
ok $? 'with the whole block'
is "$(csv_column "$dir/rejected.csv" seq | paste -sd' ') $(csv_column "$dir/rejected.csv" invalid_reason | sort -u | paste -sd,)" \
    '1 2 3 4 5 6 again: exit: code 3,again: timeout: 20 s' 'the old rows are kept as rejected'
run resume "$dir" --again --lock "$work/lock" --wait-quiet 1
like "$err" '(quiet after|not quiet after).*0 blocks were measured again' 'and nothing is left to measure again, on a machine that was waited for'

exec 9>"$work/lock"
flock 9
latest=$(readlink "$results/latest")
start -w two --rounds 1
until_true 20 grep -q waiting "$work/err"
like "$(<"$work/err")" 'waiting for another hzb' 'one hzb measures at a time'
is "$(row_count "$dir")" 0 'the other waits'
is "$(readlink "$results/latest")" "$latest" 'and latest is not its folder yet'
flock -u 9
wait $pid
is $? 0 'and then runs'
is "$(readlink "$results/latest")" "$(basename "$dir")" 'and is the latest'
done_testing
