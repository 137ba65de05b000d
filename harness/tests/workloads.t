# The configuration that is shipped, over the real programs: every cell of the quick matrix, tiny.
source "$(dirname "$0")/lib.bash"

run run harness/matrix/quick.yaml --test --lock "$work/lock"
is "$rc" 0 'all arms pass all cells of the quick matrix'
count=$(($("$hzb" plan harness/matrix/quick.yaml --test 2>/dev/null | wc -l) - 1))
is "$out" "test: $count processes ok" 'each arm of each cell was run'
is "$(ls -A "$work/tmp")" '' 'nothing is left'
run run harness/matrix/quick.yaml --dry-run
like "$err" '^[0-9]+ processes, 8 allocators, about [0-3] min' 'the quick matrix is meant to take less than four minutes'
run list harness/matrix/quick.yaml
is "$rc $(grep -c MISSING "$work/out")" '0 0' 'every allocator it names is there'

for matrix in scaling:6:10 remote:7:12 field:9:25; do
    IFS=: read -r name allocators minutes <<<"$matrix"
    run run "harness/matrix/$name.yaml" --dry-run
    like "$err" "[0-9]+ processes, $allocators allocators, about " "the $name matrix is one"
    about=$(sed -n 's/.*about \([0-9]*\) min.*/\1/p' "$work/err")
    ((${about:-99} < minutes))
    ok $? "and is meant to take less than $minutes minutes"
done
run run harness/matrix/remote.yaml --test -w 'sleepers|mappings' -a '^(hz3|hz3_thread|glibc)$' --lock "$work/lock"
is "$rc $out" '0 test: 9 processes ok' 'allocators pass the cells of mappings and of sleepers'
run run harness/matrix/field.yaml --test -a '^(hz3|glibc)$' --lock "$work/lock"
is "$rc" 0 'every cell of the field matrix runs'
like "$out" '^test: [0-9]+ processes ok$' 'and all samples are proven'
done_testing
