// A library to be loaded and unloaded: its constructor allocates, its destructor frees, its thread-local storage is too
// large for the static block, so that touching it allocates inside the dynamic loader.
#include <stdlib.h>
#include <string.h>

#define BLOCKS 64
#define TLS_BYTES 20000

int plugin_check(void);
unsigned char *plugin_thread_local(void);

static unsigned char *blocks[BLOCKS];
static _Thread_local unsigned char thread_local_bytes[TLS_BYTES];

static size_t block_size(size_t i)
{
    return 16 + i * i * 37;
}

__attribute__((constructor)) static void plugin_load(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(block_size(i));
        if (!blocks[i]) abort();
        memset(blocks[i], (int)i, block_size(i));
    }
}

// 0 when every block holds what the constructor wrote.
int plugin_check(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        for (size_t j = 0; j < block_size(i); j++) {
            if (blocks[i][j] != (unsigned char)i) return 1;
        }
    }
    return 0;
}

unsigned char *plugin_thread_local(void)
{
    return thread_local_bytes;
}

__attribute__((destructor)) static void plugin_unload(void)
{
    if (plugin_check() != 0) abort();
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    free(calloc(100, 100));
}
