# Shared by the shell tests of the allocator: TAP lines, the build folder, one temporary folder, no knobs set.
set -u
unset "${!HZ3_@}" # the caller's own knobs
cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 1
build=$(realpath "${BUILD:-build}")
probe=$build/tests/unit_probe
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. .ci/tap.bash

# Runs a command under LD_PRELOAD of a lane, and only that command.
with_lane() { # with_lane LANE [NAME=VALUE...] COMMAND...
    local lane=$1
    shift
    env LD_PRELOAD="$build/libhakozuna_hz3_$lane.so" "$@"
}
