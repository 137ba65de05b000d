// The dynamic loader and the allocator meet: before main, after exit, in dlopen, under auditors.
#include <dlfcn.h>
#include <errno.h>
#include <iconv.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

static const char *plugin_path(const char *name)
{
    static char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s_plugin.so", program_dir(), name);
    return path;
}

static void use_heap(void)
{
    heap_exercise(0, 20);
}

static void *use_heap_thread(void *arg)
{
    for (int i = 0; i < 20; i++)
        use_heap();
    return arg;
}

static void use_heap_in_threads(void)
{
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        EXPECT(pthread_create(&threads[i], NULL, use_heap_thread, NULL) == 0, "pthread_create");
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
}

static void plain_use(const void *arg)
{
    (void)arg;
    use_heap();
    use_heap_in_threads();
}

// ---- before main, before every constructor ----

static void *early_blocks[40];
static void *early_symbol;
static unsigned char *first_block; // of the size that EARLY_BYTES names

static size_t early_size(size_t i)
{
    return 10 + i * i * 101;
}

static void allocate_early(int argc, char **argv, char **env)
{
    (void)argc;
    (void)argv;
    for (; *env; env++) {
        if (strncmp(*env, "EARLY_BYTES=", 12) == 0) first_block = calloc(1, strtoul(*env + 12, NULL, 10));
    }
    early_symbol = dlsym(RTLD_NEXT, "malloc");
    for (size_t i = 0; i < COUNT_OF(early_blocks); i++) {
        early_blocks[i] = i % 2 ? malloc(early_size(i)) : calloc(early_size(i), 1);
        if (early_blocks[i]) memset(early_blocks[i], (int)i, early_size(i));
        if (i % 5 == 0) free(malloc(early_size(i)));
    }
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(int, char **, char **) = allocate_early;

static void malloc_and_dlsym_before_every_constructor(const void *arg)
{
    (void)arg;
    EXPECT(early_symbol == dlsym(RTLD_DEFAULT, "malloc"), "dlsym(RTLD_NEXT, \"malloc\") = %p", early_symbol);
    for (size_t i = 0; i < COUNT_OF(early_blocks); i++) {
        EXPECT(early_blocks[i] != NULL, "early block %zu", i);
        unsigned char *block = early_blocks[i];
        EXPECT(block[0] == (unsigned char)i && block[early_size(i) - 1] == (unsigned char)i, "early block %zu", i);
        early_blocks[i] = realloc(block, 2 * early_size(i));
        free(early_blocks[i]);
    }
    use_heap();
}

static void first_block_is_large(const void *arg)
{
    size_t bytes = strtoul(getenv("EARLY_BYTES"), NULL, 10);
    EXPECT(first_block != NULL, "the first call of all, for %zu bytes", bytes);
    EXPECT(nonzero_offset(first_block, bytes) == bytes, "not zero");
    first_block = realloc(first_block, 2 * bytes);
    EXPECT(first_block != NULL, "realloc");
    free(first_block);
    plain_use(arg);
}

// ---- after exit ----

static void *late_block;

static void allocate_late(void)
{
    free(late_block);
    late_block = malloc(5000);
    use_heap();
    malloc_trim(0);
    child_note("atexit=ran");
}

__attribute__((destructor)) static void allocate_last(void)
{
    if (!late_block) return;
    free(late_block);
    use_heap();
    child_note("destructor=ran");
}

static void malloc_in_atexit_and_destructors(const void *arg)
{
    (void)arg;
    EXPECT(atexit(allocate_late) == 0 && atexit(allocate_late) == 0, "atexit");
    EXPECT(dlopen(plugin_path("loaded"), RTLD_NOW) != NULL, "dlopen: %s", dlerror());
    printf("buffered by a block that is flushed at exit\n");
    exit(0);
}

static void judge_exit_handlers(const ChildResult *result, const void *arg, char *why, size_t why_bytes)
{
    (void)arg;
    if (result->status != 0) snprintf(why, why_bytes, "wait status 0x%x", (unsigned)result->status);
    if (!strstr(result->note, "atexit=ran")) snprintf(why, why_bytes, "the atexit handler did not end");
    if (!strstr(result->note, "destructor=ran")) snprintf(why, why_bytes, "the destructor did not end");
    if (!strstr(result->out, "buffered")) snprintf(why, why_bytes, "stdout was not flushed");
}

// ---- dlopen, dlclose, dynamic thread-local storage ----

static void load_and_unload(void)
{
    void *plugin = dlopen(plugin_path("loaded"), RTLD_NOW | RTLD_LOCAL);
    EXPECT(plugin != NULL, "dlopen: %s", dlerror());
    int (*check)(void) = (int (*)(void))dlsym(plugin, "plugin_check");
    use_heap();
    EXPECT(check && check() == 0, "blocks of the constructor");
    EXPECT(dlsym(plugin, "no_such_symbol") == NULL && dlerror(), "an error message of the loader");
    EXPECT(dlclose(plugin) == 0, "dlclose");
}

static void dlopen_and_dlclose_200_times(const void *arg)
{
    (void)arg;
    size_t settled = 0;
    for (int i = 0; i < 200; i++) {
        if (i == 20) settled = rss_bytes();
        load_and_unload();
    }
    // A second CPU's caches may come after the 20th time; 50 KB lost each time would be 9 MiB.
    EXPECT(rss_bytes() <= settled + 8 * MIB, "RSS %zu, then %zu", settled, rss_bytes());
}

static void *load_in_thread(void *arg)
{
    for (int i = 0; i < 30; i++) {
        void *plugin = dlopen(arg, RTLD_NOW);
        EXPECT(plugin != NULL, "dlopen: %s", dlerror());
        unsigned char *(*local)(void) = (unsigned char *(*)(void))dlsym(plugin, "plugin_thread_local");
        memset(local(), i, 20000);
        use_heap();
        EXPECT(local()[19999] == i, "thread-local bytes changed");
        dlclose(plugin);
    }
    return NULL;
}

static void dlopen_in_busy_threads(const void *arg)
{
    (void)arg;
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s", plugin_path("loaded"));
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        EXPECT(pthread_create(&threads[i], NULL, load_in_thread, path) == 0, "pthread_create");
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
}

static void *touch_tls_first(void *arg)
{
    unsigned char *(*local)(void) = (unsigned char *(*)(void))arg;
    unsigned char *bytes = local();
    EXPECT(nonzero_offset(bytes, 20000) == 20000, "thread-local bytes are not zero");
    memset(bytes, 1, 20000);
    use_heap();
    return NULL;
}

static void dynamic_tls_before_first_malloc(const void *arg)
{
    (void)arg;
    void *plugin = dlopen(plugin_path("loaded"), RTLD_NOW);
    EXPECT(plugin != NULL, "dlopen: %s", dlerror());
    void *local = dlsym(plugin, "plugin_thread_local");
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, touch_tls_first, local) == 0, "pthread_create");
        pthread_join(thread, NULL);
    }
}

static void dlmopen_of_another_namespace(const void *arg)
{
    (void)arg;
    void *plugin = dlmopen(LM_ID_NEWLM, plugin_path("loaded"), RTLD_NOW);
    EXPECT(plugin != NULL, "dlmopen: %s", dlerror());
    int (*check)(void) = (int (*)(void))dlsym(plugin, "plugin_check");
    EXPECT(check && check() == 0, "blocks of the constructor");
    use_heap_in_threads();
    EXPECT(dlclose(plugin) == 0, "dlclose");
}

// What loads libraries behind the program's back.
static void libc_services_that_load_libraries(const void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        iconv_t converter = iconv_open("UTF-16", "UTF-8");
        EXPECT(converter != (iconv_t)-1 || errno == EINVAL, "iconv_open");
        if (converter != (iconv_t)-1) iconv_close(converter);
        getpwuid(getuid());
        struct addrinfo *found = NULL;
        if (getaddrinfo("127.0.0.1", "80", NULL, &found) == 0) freeaddrinfo(found);
        use_heap();
    }
}

// ---- the library itself ----

static int find_static_tls(struct dl_phdr_info *info, size_t bytes, void *found)
{
    (void)bytes;
    if (!strstr(info->dlpi_name, "hakozuna")) return 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_TLS) *(size_t *)found = info->dlpi_phdr[i].p_memsz;
    }
    return 1;
}

static void static_tls_is_at_most_4_kib(const void *arg)
{
    (void)arg;
    size_t bytes = 0;
    NEEDS(dl_iterate_phdr(find_static_tls, &bytes) == 1, "hz3 is not loaded");
    child_note("info=%zu bytes of static TLS", bytes);
    EXPECT(bytes <= 4096, "%zu bytes of static TLS", bytes);
}

static void run_helper_with(const char *helper, const char *name, const char *value)
{
    char entry[2 * PATH_MAX];
    snprintf(entry, sizeof entry, "%s=%s", name, value);
    const ChildOptions options = {.env = (const char *const[]){entry, NULL}};
    child_run_case(helper, &options);
}

// The C++ library's constructor takes 72704 bytes.
static void large_block_before_every_constructor(const void *arg)
{
    (void)arg;
    run_helper_with("first_block_is_large", "EARLY_BYTES", "40000");
    run_helper_with("first_block_is_large", "EARLY_BYTES", "72704");
    run_helper_with("first_block_is_large", "EARLY_BYTES", "3000000");
}

static void under_an_auditor(const void *arg)
{
    (void)arg;
    char line[512];
    bool is_mapped = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        is_mapped |= strstr(line, "auditor_plugin.so") != NULL;
    EXPECT(maps && fclose(maps) == 0 && is_mapped, "the auditor is not loaded");
    plain_use(NULL);
}

static void under_ld_audit(const void *arg)
{
    (void)arg;
    run_helper_with("under_an_auditor", "LD_AUDIT", plugin_path("auditor"));
}

static void under_ld_bind_now(const void *arg)
{
    (void)arg;
    run_helper_with("plain_use", "LD_BIND_NOW", "1");
}

static sem_t library_used, thread_may_end;

static void *(*library_malloc)(size_t);
static void (*library_free)(void *);
static void *(*library_calloc)(size_t, size_t);
static void *(*library_realloc)(void *, size_t);

static void *use_library(void *arg)
{
    void *blocks[300];
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = i % 2 == 0 ? library_malloc(1 + i * 300) : library_realloc(library_calloc(1, 1), 1 + i * 300);
        EXPECT(blocks[i] && is_aligned(blocks[i], 16), "block %zu", i);
        memset(blocks[i], 1, 1 + i * 300);
    }
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        library_free(blocks[i]);
    sem_post(&library_used);
    sem_wait(&thread_may_end);
    return arg;
}

// Not preloaded but opened by a running program whose malloc is another's; closed while a thread still has a cache.
static void opened_late(const void *arg)
{
    (void)arg;
    void *library = dlopen(getenv("TESTS_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
    EXPECT(library != NULL, "dlopen: %s", dlerror());
    library_malloc = (void *(*)(size_t))dlsym(library, "malloc");
    library_free = (void (*)(void *))dlsym(library, "free");
    library_calloc = (void *(*)(size_t, size_t))dlsym(library, "calloc");
    library_realloc = (void *(*)(void *, size_t))dlsym(library, "realloc");
    EXPECT(library_malloc && library_malloc != malloc, "the library's own malloc");
    sem_init(&library_used, 0, 0);
    sem_init(&thread_may_end, 0, 0);
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, use_library, NULL) == 0, "pthread_create");
    sem_wait(&library_used);
    dlclose(library);
    sem_post(&thread_may_end);
    pthread_join(thread, NULL);
    use_heap();
}

static void dlopen_of_the_library_itself(const void *arg)
{
    (void)arg;
    NEEDS(preload_path() != NULL, "nothing is preloaded");
    char library[PATH_MAX + 32];
    snprintf(library, sizeof library, "TESTS_LIBRARY=%s", preload_path());
    const ChildOptions options = {.env = (const char *const[]){"LD_PRELOAD=", library, NULL}};
    child_run_case("opened_late", &options);
}

// Daemons close whatever is open.
static void all_file_descriptors_closed(const void *arg)
{
    (void)arg;
    NEEDS(syscall(SYS_close_range, 0, ~0u, 0) == 0, "no close_range");
    use_heap();
    use_heap_in_threads();
    malloc_trim(0);
    exit(0);
}

static const TestCase cases[] = {
    {.name = "malloc_and_dlsym_before_every_constructor", .run = malloc_and_dlsym_before_every_constructor},
    {.name = "large_block_before_every_constructor", .run = large_block_before_every_constructor},
    {.name = "malloc_in_atexit_and_destructors", .run = malloc_in_atexit_and_destructors, .judge = judge_exit_handlers},
    {.name = "dlopen_and_dlclose_200_times", .run = dlopen_and_dlclose_200_times},
    {.name = "dlopen_in_busy_threads", .run = dlopen_in_busy_threads},
    {.name = "dynamic_tls_before_first_malloc", .run = dynamic_tls_before_first_malloc},
    {.name = "dlmopen_of_another_namespace", .run = dlmopen_of_another_namespace},
    {.name = "libc_services_that_load_libraries", .run = libc_services_that_load_libraries},
    {.name = "static_tls_is_at_most_4_kib", .run = static_tls_is_at_most_4_kib},
    {.name = "under_ld_audit", .run = under_ld_audit},
    {.name = "under_ld_bind_now", .run = under_ld_bind_now},
    {.name = "dlopen_of_the_library_itself", .run = dlopen_of_the_library_itself},
    {.name = "all_file_descriptors_closed", .run = all_file_descriptors_closed},
    {.name = "plain_use", .run = plain_use, .helper = true},
    {.name = "first_block_is_large", .run = first_block_is_large, .helper = true},
    {.name = "under_an_auditor", .run = under_an_auditor, .helper = true},
    {.name = "opened_late", .run = opened_late, .helper = true},
};

int main(int argc, char **argv)
{
    return tests_main(argc, argv, cases, COUNT_OF(cases));
}
