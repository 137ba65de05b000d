#!/usr/bin/env bash
# Every *.pml model beside this script: it must hold in its whole state space, every statement of it must be reached,
# and each BUG_* that it names must be found when it is planted. With MODEL_LARGE=1 (`make check-model`) it must hold
# under each of its larger bounds LARGE*, too. Arguments: names of models; none means all.
. "$(dirname "$0")/../unit/tap.bash"
models=allocator/tests/model

# Leaves what the checker said in $tmp/said. Liveness is checked where the model has a formula, under weak fairness.
# tcc: small searches take less time than gcc would.
verify() { # verify MODEL [-DNAME...]
    local model=$PWD/$1 work=$tmp/verify compiler=(tcc) property=-DSAFETY options=(-m100000 -w20)
    shift
    if [[ "$*" = -DLARGE* ]]; then
        compiler=(gcc -O2)
        options=(-m100000 -w26)
    fi
    if grep -q '^ltl' "$model"; then
        property=-DNFAIR=3
        options+=(-a -f)
    fi
    rm -rf "$work"
    mkdir "$work"
    (cd "$work" && spin "$@" -a "$model" &&
        "${compiler[@]}" -w -DCOLLAPSE -DMEMLIM=8000 "$property" -o pan pan.c && ./pan "${options[@]}") \
        > "$tmp/said" 2>&1
}

# Complete: no error, no warning of a cut search.
holds() {
    grep -q '^Full statespace search' "$tmp/said" && grep -q 'errors: 0$' "$tmp/said" &&
        ! grep -Eq 'not completed|too small|Warning' "$tmp/said"
}

# No statement that no run comes to. Larger bounds leave some out: more threads, fewer choices for each.
reaches_all() {
    ! grep ', state ' "$tmp/said" | grep -qv -- '-end-'
}

# Found: by the model's own assertions, a deadlock or a cycle, and not because a bound of the model was too small.
finds() {
    grep -Eq '^pan:1: (assertion violated|invalid end state|acceptance cycle)' "$tmp/said" &&
        ! grep -Eq 'too small|sb_used\[' "$tmp/said"
}

check_holds() { # check_holds MODEL NAME [-DNAME...]
    local model=$1 name=$2
    shift 2
    verify "$model" "$@"
    holds && { (($# > 0)) || reaches_all; }
    report $? "$name holds: $(sed -n 's/^ *\([0-9]*\) states, stored.*/\1 states/p' "$tmp/said")" "$(cat "$tmp/said")"
}

if ! command -v spin > /dev/null || ! command -v tcc > /dev/null; then
    echo '1..0 # SKIP spin or tcc not installed'
    exit
fi
(($# == 0)) && set -- $(basename -s .pml $(grep -l '^init' $models/*.pml))
for name; do
    model=$models/$name.pml
    check_holds "$model" "$name"
    for size in $([ -z "${MODEL_LARGE:-}" ] || grep -o '\bLARGE[A-Z_]*' "$model" | sort -u); do
        check_holds "$model" "$name $size" -D"$size"
    done
    for bug in $(grep -o 'BUG_[A-Z_]*' "$model" | sort -u); do
        verify "$model" -D"$bug"
        finds
        report $? "$name $bug is found: $(sed -n 's/^pan:1: \(.*\) (at.*/\1/p' "$tmp/said")" "$(cat "$tmp/said")"
    done
done
done_testing
