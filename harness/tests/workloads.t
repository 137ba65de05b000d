# The configuration that is shipped, over the real programs: every cell of the quick matrix, tiny.
source "$(dirname "$0")/lib.bash"

run run harness/matrix/quick.yaml --test --lock "$work/lock"
is "$rc" 0 'all arms pass all cells of the quick matrix'
like "$out" '^test: 32 processes ok$' 'eight arms, four cells'
is "$(ls -A "$work/tmp")" '' 'nothing is left'
run run harness/matrix/quick.yaml --dry-run
like "$err" '^136 processes, 8 allocators, about 3 min' 'the quick matrix takes less than four minutes'
run list harness/matrix/quick.yaml
is "$rc $(grep -c MISSING "$work/out")" '0 0' 'every allocator it names is there'
done_testing
