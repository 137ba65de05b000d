#!/usr/bin/env bash
# Each header compiles alone, and twice in a row, with every compiler that is installed; the public one as C++ too.
set -u
cd "$(dirname "$0")/../.." || exit 1
flags=(-D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -Wconversion -Iinclude -Isrc -fsyntax-only)
headers=(include/*.h src/*/*.h)
. ../.ci/tap.bash

check() { # check COMPILER LANGUAGE STANDARD HEADER
    local said
    said=$(printf '#include "%s"\n#include "%s"\ntypedef int not_empty;\n' "$4" "$4" |
        "$1" -x "$2" "-std=$3" "${flags[@]}" -I. - 2>&1)
    report $? "$4 with $1" "$said"
}

for compiler in gcc clang; do
    if ! command -v $compiler > /dev/null; then
        skip "headers with $compiler" "$compiler not installed"
        continue
    fi
    for header in "${headers[@]}"; do check $compiler c c11 "$header"; done
done
for compiler in g++ clang++; do
    if command -v $compiler > /dev/null; then
        check $compiler c++ c++17 include/hz3.h
    else
        skip "include/hz3.h with $compiler" "$compiler not installed"
    fi
done
done_testing
