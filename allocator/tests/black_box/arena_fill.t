# How full a fixed arena gets before the first NULL: 4 threads fill it level by level and replace twice all blocks at
# each, half of them freed by another thread. Usable bytes over arena bytes.
. "$(dirname "$0")/../unit/tap.bash"

fills() { # fills MIN MAX LEAST-RATIO
    local said ratio
    said=$(with_lane scale HZ3_ARENA_SIZE=256M HZ3_ARENA_FALLBACK_MMAP=0 HZ3_OOM_SHOT=1 \
        "$build/bench_arena_fill" 4 256 "$1" "$2" 50 200 80 1 --touch=none 2>&1)
    ratio=$(sed -n 's/^\[FILL\] .* ratio=//p' <<< "$said")
    awk -v got="$ratio" -v least="$3" 'BEGIN { exit !(got >= least) }'
    report $? "$1..$2: $ratio of the arena is alive at the first failure, at least $3" "$said"
}
fills 4096 32768 0.93
fills 16 32768 0.90
fills 16 2048 0.90
done_testing
