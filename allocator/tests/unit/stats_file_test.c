// HZ3_STATS_FILE as a reader in another process sees it: only the offsets that the header documents are used here.
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hz3.h"

static const unsigned char *file; // this process's own, mapped a second time, read-only
static size_t file_bytes;
static char folder[64]; // a new one

static uint32_t u32_at(size_t offset)
{
    uint32_t value;
    assert_true(offset + sizeof value <= file_bytes);
    memcpy(&value, file + offset, sizeof value);
    return value;
}

static uint64_t u64_at(size_t offset)
{
    uint64_t value;
    assert_true(offset + sizeof value <= file_bytes);
    memcpy(&value, file + offset, sizeof value);
    return value;
}

static const char *name_of(uint32_t counter)
{
    return (const char *)file + u32_at(24) + 32 * counter;
}

static uint64_t counter_value(const char *name)
{
    uint32_t n_counters = u32_at(12);
    for (uint32_t i = 0; i < n_counters; i++) {
        if (strcmp(name_of(i), name) == 0) {
            uint64_t sum = 0;
            for (uint32_t stripe = 0; stripe < u32_at(16); stripe++) {
                sum += u64_at(u32_at(28) + (size_t)stripe * u32_at(20) + 8 * i);
            }
            return sum;
        }
    }
    fail_msg("no counter %s", name);
    return 0;
}

static int map_own_file(void **state)
{
    (void)state;
    int fd = open(getenv("HZ3_STATS_FILE"), O_RDONLY);
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    file_bytes = (size_t)st.st_size;
    file = mmap(NULL, file_bytes, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(file, MAP_FAILED);
    close(fd);
    return 0;
}

static void header_describes_the_file(void **state)
{
    (void)state;
    assert_memory_equal(file, "HZ3STAT1", 8);
    assert_int_equal(u32_at(8), 1);
    assert_int_equal(sizeof(Hz3StatsFileHeader), 64);
    for (size_t offset = 32; offset < 64; offset++) {
        assert_int_equal(file[offset], 0);
    }
    uint32_t n_counters = u32_at(12);
    assert_true(n_counters > 0 && u32_at(16) > 0);
    assert_true(u32_at(20) >= 8 * n_counters);
    assert_true(u32_at(24) >= 64);
    assert_true(u32_at(28) >= u32_at(24) + 32 * n_counters);
    assert_true(file_bytes >= u32_at(28) + (size_t)u32_at(16) * u32_at(20));
    for (uint32_t i = 0; i < n_counters; i++) {
        assert_int_equal(name_of(i)[31], 0);
        assert_in_range(strlen(name_of(i)), 1, 31);
    }
}

static void values_are_those_of_the_process(void **state)
{
    (void)state;
    static const char *const wanted[] = {"reclaim_calls", "reclaim_pages", "purged_pages", "madvise_calls",
                                         "alloc_failed"};
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        counter_value(wanted[i]);
    }
    for (uint32_t i = 0; i < u32_at(12); i++) {
        uint64_t value;
        assert_int_equal(hz3_stats_read(name_of(i), &value), 0);
        assert_int_equal(value, counter_value(name_of(i)));
    }
    uint64_t untouched = 42;
    assert_int_equal(hz3_stats_read("no_such_counter", &untouched), -1);
    assert_int_equal(untouched, 42);
}

static void use_and_free_spans(int n)
{
    for (int i = 0; i < n; i++) {
        char *p = malloc(100000);
        assert_non_null(p);
        memset(p, 1, 100000);
        free(p);
        hz3_epoch_force();
    }
}

// Until what nobody uses any more is old enough to go back.
#define EPOCHS_UNTIL_IDLE 40

static void values_move(void **state)
{
    (void)state;
    uint64_t purged = counter_value("purged_pages");
    uint64_t failed = counter_value("alloc_failed");
    uint64_t epochs = counter_value("epochs");
    use_and_free_spans(10);
    for (int i = 0; i < EPOCHS_UNTIL_IDLE; i++) {
        hz3_epoch_force();
    }
    assert_null(malloc(PTRDIFF_MAX));
    assert_true(counter_value("purged_pages") >= purged + 25); // the ten spans were one after the other in one place
    assert_int_equal(counter_value("alloc_failed"), failed + 1);
    assert_int_equal(counter_value("epochs"), epochs + 10 + EPOCHS_UNTIL_IDLE);
}

static int child_has_its_own_counts(void)
{
    uint64_t before;
    uint64_t after;
    hz3_stats_read("epochs", &before);
    use_and_free_spans(50);
    hz3_stats_read("epochs", &after);
    return after == before + 50 ? 0 : 1;
}

static void child_leaves_the_parents_counts_alone(void **state)
{
    (void)state;
    uint64_t epochs = counter_value("epochs");
    uint64_t spans = counter_value("spans_opened");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(child_has_its_own_counts());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(counter_value("epochs"), epochs);
    assert_int_equal(counter_value("spans_opened"), spans);
    use_and_free_spans(1);
    assert_int_equal(counter_value("epochs"), epochs + 1); // the parent goes on counting there
}

// --- files that cannot be created ---

// Runs this program as `--idle` with another stats file; returns what it wrote to stderr.
static void run_idle(const char *stats_file, char *text, size_t text_bytes)
{
    char command[512];
    snprintf(command, sizeof command, "HZ3_STATS_FILE='%s' /proc/%d/exe --idle 2>&1 >/dev/null", stats_file, getpid());
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    text[fread(text, 1, text_bytes - 1, pipe)] = '\0';
    assert_int_equal(pclose(pipe), 0);
}

static void existing_file_is_left_alone(void **state)
{
    (void)state;
    char path[] = "/tmp/hz3_stats_file_test.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "precious", 8), 8);
    char text[1024];
    run_idle(path, text, sizeof text);
    assert_string_equal(text, ""); // a program that a measured one starts inherits the variable
    char content[16] = {0};
    assert_int_equal(pread(fd, content, sizeof content, 0), 8);
    assert_string_equal(content, "precious");
    close(fd);
    unlink(path);
}

static void missing_folder_is_reported(void **state)
{
    (void)state;
    char text[1024];
    run_idle("/tmp/no/such/folder/stats", text, sizeof text);
    assert_non_null(strstr(text, "/tmp/no/such/folder/stats: cannot create it"));
}

static void new_file_needs_no_word(void **state)
{
    (void)state;
    char path[80];
    snprintf(path, sizeof path, "%s/new", folder);
    char text[1024];
    run_idle(path, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(access(path, R_OK), 0); // stays for whoever wants to read it after the end
    unlink(path);
}

// The program that unit_need_env starts finds the folder that was made before.
static void find_folder(void)
{
    static const char name[] = "STATS_FILE_TEST_FOLDER";
    char template[] = "/tmp/hz3_stats_file_test.XXXXXX";
    const char *found = getenv(name) != NULL ? getenv(name) : mkdtemp(template);
    if (found == NULL || setenv(name, found, 1) != 0) {
        perror(template);
        exit(1);
    }
    snprintf(folder, sizeof folder, "%s", found);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--idle") == 0) {
        return 0;
    }
    find_folder();
    char env[128];
    snprintf(env, sizeof env, "HZ3_STATS_FILE=%s/stats", folder);
    unit_need_env(argv, (const char *const[]){env, "HZ3_EPOCH_TICK_MS=0", "HZ3_S65_PURGE_AGE_EPOCHS=0", NULL});
    unit_watchdog(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_describes_the_file),
        cmocka_unit_test(values_are_those_of_the_process),
        cmocka_unit_test(values_move),
        cmocka_unit_test(child_leaves_the_parents_counts_alone),
        cmocka_unit_test(existing_file_is_left_alone),
        cmocka_unit_test(missing_folder_is_reported),
        cmocka_unit_test(new_file_needs_no_word),
    };
    int failed = cmocka_run_group_tests(tests, map_own_file, NULL);
    unlink(strchr(env, '=') + 1);
    rmdir(folder);
    return failed;
}
