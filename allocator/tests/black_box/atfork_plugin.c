// A library whose constructor registers fork handlers. What its prepare handler calls is up to the program.
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

void atfork_plugin_call(void (*function)(void));

static void (*to_call)(void);

void atfork_plugin_call(void (*function)(void))
{
    to_call = function;
}

static void prepare(void)
{
    if (to_call != NULL) to_call();
}

__attribute__((constructor)) static void register_handlers(void)
{
    if (pthread_atfork(prepare, NULL, NULL) != 0) abort();
}
