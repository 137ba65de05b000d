# The fuzz target of hzb's readers over its corpus, and some inputs made from it; `make fuzz` takes longer.
source "$(dirname "$0")/../lib.bash"
top=$(cd "$(dirname "$0")/../../.." && pwd)
corpus=$top/harness/tests/fuzz/corpus

said=$("$BUILD/tests/fuzz_readers" -runs=0 -timeout=60 -artifact_prefix="$work/" "$corpus" 2>&1)
ok $? 'the corpus'
(($(find "$corpus" -type f | wc -l) >= 10))
ok $? '... which is there'
said=$("$BUILD/tests/fuzz_readers" -runs=2000 -seed=1 -timeout=60 -max_len=16384 -artifact_prefix="$work/" "$work" "$corpus" 2>&1)
ok $? 'two thousand inputs made from it'
[[ $said == *"Done 2000 runs"* ]]
ok $? '... all of them'
done_testing
