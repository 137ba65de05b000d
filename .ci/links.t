#!/usr/bin/env bash
# Every file and heading that a README or a page points to is there, and .ci/links finds what is not.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
. "$top/.ci/tap.bash"

# A small tree of its own.
cd "$dir" || exit 1
mkdir -p allocator/{src/base,doc,lanes} harness/matrix
touch allocator/src/base/hz3_types.h allocator/lanes/{fast,debug}.mk harness/matrix/quick.yaml run_matrix.sh
printf '# How\n\n## The layers, `src`\n' >allocator/doc/design.md
printf '/build/\n/results/\n' >.gitignore
git init -q .
page=allocator/doc/page.md

refused() { # refused NAME WANT TEXT
    local out status
    printf '%s\n' "$3" >"$page"
    out=$(perl "$top/.ci/links" "$page")
    status=$?
    [ $status -eq 1 ] && [[ $out == *"$2"* ]]
    report $? "$1" "exit $status, wanted $2 in: $out"
}

accepted() { # accepted NAME TEXT
    local out
    printf '%s\n' "$2" >"$page"
    out=$(perl "$top/.ci/links" "$page")
    report $? "$1" "$out"
}

refused 'a link to a file that is not there' 'no such file: desing.md' $'A\n\n[page](desing.md)'
refused 'a picture' 'no such file: ../soak.svg' '![RSS](../soak.svg)'
refused 'a heading that is not in that file' 'no such heading: design.md#layer' '[page](design.md#layer)'
refused 'a path in a code span' 'no such file: allocator/src/hz3_types.h' 'Read `allocator/src/hz3_types.h`.'
refused 'a pattern that nothing fits' 'no such file: harness/matrix/*.yml' 'See `harness/matrix/*.yml`.'
refused 'the name of a file that no folder has' 'no file of that name: hz3_typos.h' 'Read `hz3_typos.h`.'
accepted 'what is there' '[page](design.md#the-layers-src), [source](../src/base/hz3_types.h), `base/hz3_types.h`, `hz3_types.h`,
`allocator/lanes/*.mk`, `allocator/lanes/{fast,debug}.mk`, `./run_matrix.sh`, [us](#here), <https://example.org/a.c>

## Here'
accepted 'files of the machine and of a build, and code' '`/proc/PID/maps`, `rss/1.csv`, `build/hzb`, `results/latest`

```
[page](nowhere.md)
```'

cd "$top" || exit 1
out=$(perl .ci/links)
report $? 'every page' "$out"
done_testing
