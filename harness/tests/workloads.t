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
done_testing
