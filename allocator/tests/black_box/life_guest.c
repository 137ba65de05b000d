// A small program for places where the test programs themselves cannot go: linked statically, setuid, without /proc. It
// uses the heap in threads and in a child, and says whose malloc that was.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// Only hz3 has it.
__attribute__((weak)) void hz3_epoch_force(void);

enum { BLOCKS = 600, ROUNDS = 20, THREADS = 4 };

static size_t size_of(size_t i)
{
    return 1 + (i % 50 == 0 ? i * 4000 : i * i % 9000);
}

// NULL, or what was wrong.
static void *use_heap(void *arg)
{
    static _Thread_local unsigned char *blocks[BLOCKS];
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = realloc(blocks[i], size_of(i + round));
            if (!blocks[i]) return "realloc gave NULL";
            memset(blocks[i], (int)(i ^ round), size_of(i + round));
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            unsigned char mark = (unsigned char)(i ^ round);
            if (blocks[i][0] != mark || blocks[i][size_of(i + round) - 1] != mark) return "a block changed";
        }
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
        blocks[i] = NULL;
    }
    return arg;
}

static void *use_heap_in_threads(void)
{
    pthread_t threads[THREADS];
    void *wrong = NULL, *said;
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, use_heap, NULL) != 0) return "pthread_create failed";
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &said);
        if (said) wrong = said;
    }
    return wrong;
}

static void *use_heap_in_child(void)
{
    int status;
    pid_t pid = fork();
    if (pid < 0) return "fork failed";
    if (pid == 0) _exit(use_heap(NULL) || use_heap_in_threads() ? 1 : 0);
    if (waitpid(pid, &status, 0) != pid || status != 0) return "the child's heap is not sound";
    return NULL;
}

int main(void)
{
    const char *wrong = use_heap(NULL);
    if (!wrong) wrong = use_heap_in_threads();
    if (!wrong) wrong = use_heap_in_child();
    printf("malloc of %s, %s, uid %d, effective %d\n", hz3_epoch_force ? "hz3" : "another", wrong ? wrong : "sound",
           (int)getuid(), (int)geteuid());
    return wrong ? 1 : 0;
}
