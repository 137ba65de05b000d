# Shared by the scripts beside it: TAP lines, the build folder, one temporary folder, no knobs set.
set -u
unset "${!HZ3_@}" # the caller's own knobs
cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 1
build=$(realpath "${BUILD:-build}")
probe=$build/tests/unit_probe
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
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
    echo "1..$n"
}

# Runs a command under LD_PRELOAD of a lane, and only that command.
with_lane() { # with_lane LANE [NAME=VALUE...] COMMAND...
    local lane=$1
    shift
    env LD_PRELOAD="$build/libhakozuna_hz3_$lane.so" "$@"
}
