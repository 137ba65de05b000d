#!/usr/bin/env bash
# Who may free pages and who may give memory to the kernel, read off the sources. What the sources cannot show, a caller
# with the wrong pages, the debug lane's assertion names (ledger_test.c).
. "$(dirname "$0")/tap.bash"

callers() { # callers FUNCTION: the files that call it, but for the one that defines it
    grep -lE "\b$1\(" allocator/src/*/*.c | xargs -n1 basename | sort | tr '\n' ' '
}

only() { # only FUNCTION FILE...
    local function=$1 found
    shift
    found=$(callers "$function")
    [ "$found" = "$* " ]
    report $? "$function: only in $*" "found in: $found"
}

only hz3_segment_publish hz3_release_boundary.c hz3_release_ledger.c hz3_segment.c
only hz3_segment_mark_dirty hz3_release_boundary.c hz3_segment.c
only madvise hz3_os.c
only hz3_os_purge_ranges hz3_os.c hz3_release_boundary.c
# The arena's and the slab's purge their own tables, the mapping's and the guard's are of addresses that munmap refused.
only hz3_os_purge hz3_arena.c hz3_harden_guard.c hz3_magazine.c hz3_mapping.c hz3_os.c hz3_release_boundary.c hz3_slab.c
only hz3_release_to_kernel hz3_partial_purge.c hz3_release_boundary.c hz3_release_ledger.c
done_testing
