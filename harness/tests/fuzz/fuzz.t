# The fuzz target of hzb's readers over its corpus, and some inputs made from it; `make fuzz` takes longer.
source "$(dirname "$0")/../lib.bash"
top=$(cd "$(dirname "$0")/../../.." && pwd)
corpus=$top/harness/tests/fuzz/corpus

# What crashes it stays.
fuzz() { "$BUILD/tests/fuzz_readers" -timeout=60 -artifact_prefix="$BUILD/fuzz/" "$@" "$corpus" 2>&1; }
judge() { # judge STATUS NAME
    ok "$1" "$2"
    (($1 == 0)) || tail -n 40 <<<"$said" | sed 's/^/# /'
}
mkdir -p "$BUILD/fuzz"

said=$(fuzz -runs=0)
judge $? 'the corpus'
(($(find "$corpus" -type f | wc -l) >= 10))
ok $? '... which is there'
said=$(fuzz -runs=2000 -seed=1 -max_len=16384 "$work")
judge $? 'two thousand inputs made from it'
[[ $said =~ Done\ ([0-9]+)\ runs ]] && ((BASH_REMATCH[1] >= 2000)) # a round of mutations is not cut short
judge $? '... all of them'
done_testing
