#!/usr/bin/env bash
# How check-software decides that a test differs.
set -u
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
. "$here/../../../.ci/tap.bash"

compares() { # compares NAME CODE TEXT LINE...: a LINE is allocator:test:result
    local said code
    printf '%s\n' "${@:4}" | tr : '\t' > unit
    said=$(perl "$here/compare.pl" suite unit 2>&1)
    code=$?
    [ $code -eq "$2" ] && [[ $said == *"$3"* ]]
    report $? "$1" "exit $code: $said"
}

compares "equal results" 0 "| suite | 1 | 2 | 2 | 0 | 1 |" glibc:a:ok hz3:a:ok glibc:b:err hz3:b:err
compares "a test that fails with hz3 only" 1 "unit: b: glibc ok, hz3 err" glibc:a:ok hz3:a:ok glibc:b:ok hz3:b:err
compares "a test that is missing with hz3" 1 "unit: b: glibc ok, hz3 nothing" glibc:a:ok hz3:a:ok glibc:b:ok
compares "a test that is there with hz3 only" 1 "unit: b: glibc nothing, hz3 ok" glibc:a:ok hz3:a:ok hz3:b:ok
compares "a test that came out equal once is flaky" 0 "| suite | 1 | 1 | 1 | 0 | 1 |" \
    glibc:a:ok hz3:a:err glibc:a:ok hz3:a:ok
compares "a test that fails now and then with hz3, as with glibc" 0 "| 1 | 1 | 1 | 0 |" glibc:a:ok glibc:a:err hz3:a:err
compares "a test that fails in each run with hz3" 1 "glibc ok, hz3 err or skipped" glibc:a:ok hz3:a:err hz3:a:skipped
compares "a unit without results" 1 "glibc no results, hz3 no results" "glibc:whole unit:no results" \
    "hz3:whole unit:no results"
compares "more differences than are shown" 1 "suite: 5 more" $(seq -f 'glibc:test%g:ok' 25)
compares "no result" 65 "compare.pl: 'unit' line 1: 'glibc" glibc:a
compares "another allocator" 65 "expected glibc or hz3" other:a:ok
said=$("$here/software.sh" no_such 2>&1)
[ $? -eq 64 ] && [[ $said == *"'no_such': expected one of: redis sqlite python perl git"* ]]
report $? "a suite that does not exist" "$said"
done_testing
