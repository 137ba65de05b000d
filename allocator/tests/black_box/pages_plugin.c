// A kernel whose pages have 64 KiB, as hz3 sees it that is preloaded after this: madvise wants addresses that begin
// one. AT_PAGESZ says 4096 nevertheless, as an emulator does.
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_BYTES 65536u

int madvise(void *addr, size_t bytes, int advice)
{
    if ((uintptr_t)addr % PAGE_BYTES != 0) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_madvise, addr, bytes, advice);
}
