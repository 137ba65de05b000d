# How full a fixed arena gets before the first NULL: 4 threads fill it level by level and replace twice all blocks at each,
# half of them freed by another thread. Usable bytes over arena bytes.
lane=${BUILD:-build}/libhakozuna_hz3_scale.so
n=0
fills() { # fills MIN MAX LEAST-RATIO
    local said ratio
    said=$(env HZ3_ARENA_SIZE=256M HZ3_ARENA_FALLBACK_MMAP=0 HZ3_OOM_SHOT=1 LD_PRELOAD="$lane" \
        "${BUILD:-build}/bench_arena_fill" 4 256 "$1" "$2" 50 200 80 1 --touch=none 2>&1)
    ratio=$(sed -n 's/^\[FILL\] .* ratio=//p' <<< "$said")
    n=$((n + 1))
    if awk -v got="$ratio" -v least="$3" 'BEGIN { exit !(got >= least) }'; then
        echo "ok $n - $1..$2: $ratio of the arena is alive at the first failure"
    else
        echo "not ok $n - $1..$2: $ratio of the arena is alive at the first failure, less than $3"
        sed 's/^/# /' <<< "$said"
    fi
}
echo 1..3
fills 4096 32768 0.93
fills 16 32768 0.90
fills 16 2048 0.90
