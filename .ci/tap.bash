# TAP lines of the shell tests; sourced.
n=0

report() { # report STATUS NAME [DETAIL]
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; printf '%s\n' "${3:-}" | sed 's/^/# /'; fi
}

skip() { # skip NAME REASON
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

done_testing() {
    [ "$n" -gt 0 ] || report 1 "something is tested"
    echo "1..$n"
}
