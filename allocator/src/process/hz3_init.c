#include "process/hz3_init.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/hz3_knobs.h"
#include "base/hz3_lock.h"
#include "base/hz3_log.h"
#include "base/hz3_os.h"
#include "base/hz3_shard.h"
#include "base/hz3_size_class.h"
#include "base/hz3_stats.h"
#include "front/hz3_front_cpu.h"
#include "front/hz3_front_drain.h"
#include "front/hz3_front_slow.h"
#include "hardened/hz3_harden.h"
#include "large/hz3_span_cache.h"
#include "middle/hz3_central.h"
#include "middle/hz3_magazine.h"
#include "pages/hz3_arena.h"
#include "pages/hz3_ledger_list.h"
#include "policy/hz3_purger.h"
#include "process/hz3_fork.h"

_Atomic bool hz3_init_done;

static Hz3Lock init_lock = HZ3_LOCK_INIT(HZ3_RANK_INIT);

// Found by `strings` in a library of unknown origin.
__attribute__((used)) static const char build_text[] = "hz3 build: lane=" HZ3_LANE " defs=" HZ3_BUILD_DEFS;

static void require_pages(void)
{
    if (!hz3_os_pages_fit()) {
        hz3_log("hz3: the kernel's pages are larger than the 4096 bytes that hz3 needs; run the program without it");
        abort();
    }
}

void hz3_init_slow(void)
{
    hz3_lock_acquire(&init_lock);
    bool was_done = atomic_load_explicit(&hz3_init_done, memory_order_relaxed);
    if (!was_done) {
        require_pages();
        hz3_os_start();
        hz3_knobs_read();
        hz3_size_class_init();
        hz3_shard_init();
        hz3_arena_init();
        hz3_central_init();
        hz3_span_cache_init();
        hz3_front_init();
        hz3_stats_init();
        hz3_size_class_open();
        atomic_store_explicit(&hz3_init_done, true, memory_order_release);
    }
    hz3_lock_release(&init_lock);
    if (!was_done) {
        hz3_fork_register(); // if it is refused, the purger tries again before it starts
    }
}

// Registers the fork handlers before those of any library, so that ours run last before a fork and first after it: what
// the others allocate in theirs, or wait for in a thread that allocates, meets no taken lock. So it is the first
// constructor of the process (-z initfirst), even before the C library's, which would set the environment.
__attribute__((constructor)) static void constructor(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    if (environ == NULL) {
        environ = envp;
    }
    hz3_init();
    hz3_purger_init();
}

// Flushing checks every object that the main thread freed last: a double free is reported even by a short program. No
// system call is made for it: a sandboxed program has nothing left on its list but the end.
__attribute__((destructor)) static void destructor(void)
{
    hz3_init();
    if (HZ3_HARDENED) {
        hz3_harden_drain();
    }
    hz3_magazine_open_no_more();
    hz3_front_flush_own();
    if (hz3_os_is_alone()) { // what this thread has freed on other CPUs
        hz3_front_drain(HZ3_FRONT_ALL);
    }
    hz3_central_check_newest();
    if (hz3_knobs.KNOBS) {
        hz3_knobs_print();
    }
    if (hz3_knobs.STATS) {
        hz3_stats_print(hz3_cpu_front_is_used() ? "cpu" : "thread", hz3_ledger_drops());
    }
}
