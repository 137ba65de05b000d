#!/usr/bin/env bash
# Every C file is as the formatter writes it (.ci/format), and .ci/format finds one that is not.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
. "$top/.ci/tap.bash"
cd "$top" || exit 1

planted() { # planted STATUS WANT NAME < TEXT: .ci/format of a file with TEXT exits with STATUS and prints WANT
    local out status
    cat >"$dir/planted.c"
    out=$(bash .ci/format "$dir/planted.c" 2>&1)
    status=$?
    [ $status -eq "$1" ] && [[ $out == *"$2"* ]]
    report $? "$3" "exit $status, wanted $1 and \"$2\" in: $out"
}

tree=$(bash .ci/format 2>&1)
status=$?
if [ $status -eq 69 ]; then
    echo "1..0 # SKIP $tree"
    exit
fi
report $status "all C files conform: ${tree##*$'\n'}" "$tree"

planted 0 '1 files conform' 'a well-formed file is accepted' <<'EOT'
int f(void)
{
    return 1;
}
EOT
planted 1 'planted.c:4: not as clang-format 14 writes it' 'a badly formatted one is named, with its line' <<'EOT'
int f(void)
{
    int x = 1;
    x ++; return x;
}
EOT
planted 0 '1 files conform' 'what stands between two markers is left alone' <<'EOT'
// clang-format off
int f(void) { return 1; }
// clang-format on
EOT
planted 1 'planted.c:1: this marker of clang-format does nothing' 'a marker with a word beside it is named' <<'EOT'
// clang-format off: a table
int x;
EOT
done_testing
