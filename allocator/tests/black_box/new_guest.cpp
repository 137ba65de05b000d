// Replaces operator new(size_t), operator delete(void *) and the aligned pair, as many programs do, and uses all the
// other forms. By the standard each of these ends in one of the four. Exits with 0 if it does.
#include <cstdio>
#include <cstdlib>
#include <new>

static const size_t HEADER = 4096;
static const size_t MARK = 0x6d61726b;
static int news, deletes;

static void *with_header(void *block)
{
    if (block == nullptr) throw std::bad_alloc();
    *static_cast<size_t *>(block) = MARK;
    news++;
    return static_cast<char *>(block) + HEADER;
}

static void free_with_header(void *p)
{
    void *block = static_cast<char *>(p) - HEADER;
    if (*static_cast<size_t *>(block) != MARK) {
        puts("a block that is not ours");
        exit(1);
    }
    deletes++;
    free(block);
}

void *operator new(size_t size)
{
    return with_header(malloc(size + HEADER));
}

void *operator new(size_t size, std::align_val_t align)
{
    return with_header(aligned_alloc(size_t(align), size + HEADER));
}

void operator delete(void *p) noexcept
{
    free_with_header(p);
}

void operator delete(void *p, std::align_val_t) noexcept
{
    free_with_header(p);
}

int main()
{
    const std::align_val_t align{64};
    ::operator delete(::operator new(100), size_t(100));
    ::operator delete(::operator new(100, std::nothrow), std::nothrow);
    ::operator delete[](::operator new[](100));
    ::operator delete[](::operator new[](100), size_t(100));
    ::operator delete[](::operator new[](100, std::nothrow), std::nothrow);
    ::operator delete(::operator new(100, align), 100, align);
    ::operator delete(::operator new(100, align, std::nothrow), align, std::nothrow);
    ::operator delete[](::operator new[](100, align), align);
    ::operator delete[](::operator new[](100, align), 100, align);
    ::operator delete[](::operator new[](100, align, std::nothrow), align, std::nothrow);
    if (news != 10 || deletes != 10) {
        printf("%d of 10 news and %d of 10 deletes came to the program\n", news, deletes);
        return 1;
    }
    return 0;
}
