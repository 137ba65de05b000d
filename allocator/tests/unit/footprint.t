#!/usr/bin/env bash
# What hz3 costs beside the blocks: a program that does nothing, metadata of a full heap, system calls at start.
. "$(dirname "$0")/tap.bash"

field() { # field NAME LINE
    sed -n "s/.*\b$1=\(-\?[0-9]*\).*/\1/p" <<< "$2"
}

# The page cache and the loader give or take some pages: the lowest of three runs.
lowest_rss_kib() { # lowest_rss_kib COMMAND...
    for _ in 1 2 3; do field hwm_kib "$("$@" "$probe" rss)"; done | sort -n | head -1
}

glibc=$(lowest_rss_kib env)
for lane in scale fast; do
    ours=$(lowest_rss_kib with_lane $lane)
    [ "$glibc" -gt 0 ] && [ "$ours" -gt 0 ] && [ $((ours - glibc)) -le 1024 ]
    report $? "lane $lane: a program that does nothing stays within 1 MiB of glibc" "glibc $glibc KiB, $lane $ours KiB"
    echo "# glibc $glibc KiB, $lane $ours KiB"
done

mib=256
for size in 16 64 4096; do
    said=$(with_lane scale "$probe" fill $size $mib)
    kib=$(($(field bytes "$said") / 1024))
    rss=$(field rss_kib "$said")
    beside=$((rss - kib))
    [ "$kib" -eq $((mib * 1024)) ] && [ "$rss" -ge "$kib" ] && [ $((beside * 50)) -le "$rss" ]
    report $? "$mib MiB of $size-byte blocks: metadata at most 2 % of the mapped memory" \
        "$said: $beside KiB beside the blocks"
    echo "# $size-byte blocks: $beside KiB beside $kib KiB"
done

calls() { # calls COMMAND...: how many system calls
    strace -f -o "$tmp/trace" "$@" "$probe" rss > /dev/null && grep -c '(' "$tmp/trace"
}

if ! command -v strace > /dev/null || ! strace -o /dev/null true 2> /dev/null; then
    skip "system calls at start" "strace does not work here"
else
    with=$(calls env LD_PRELOAD="$build/libhakozuna_hz3_scale.so")
    without=$(calls env)
    [ "$without" -gt 10 ] && [ $((with - without)) -le 40 ]
    report $? "at most 40 more system calls than with glibc, loading the library included" \
        "$with with hz3, $without without"
    echo "# $with system calls with hz3, $without without"
fi
done_testing
