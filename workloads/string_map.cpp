#include "string_map.h"

#include <map>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

thread_local int64_t live_bytes;
thread_local uint64_t allocated, freed;

// std::allocator with books: what it gives comes from operator new and goes to operator delete with its size.
template <class T> struct Counted {
    using value_type = T;

    Counted() = default;
    template <class U> Counted(const Counted<U> &) {}

    T *allocate(size_t n)
    {
        void *block = ::operator new(n * sizeof(T));
        allocated++;
        live_bytes += static_cast<int64_t>(n * sizeof(T));
        return static_cast<T *>(block);
    }

    void deallocate(T *block, size_t n)
    {
        freed++;
        live_bytes -= static_cast<int64_t>(n * sizeof(T));
        ::operator delete(block, n * sizeof(T));
    }

    template <class U> bool operator==(const Counted<U> &) const { return true; }
    template <class U> bool operator!=(const Counted<U> &) const { return false; }
};

using String = std::basic_string<char, std::char_traits<char>, Counted<char>>;
using Numbers = std::vector<uint32_t, Counted<uint32_t>>;

struct StringHash {
    size_t operator()(const String &text) const
    {
        return std::hash<std::string_view>()(std::string_view(text.data(), text.size()));
    }
};

struct Entry {
    uint64_t key;
    Numbers numbers;
};

using Index =
    std::unordered_map<String, Entry, StringHash, std::equal_to<String>, Counted<std::pair<const String, Entry>>>;
using Order = std::map<uint64_t, String, std::less<uint64_t>, Counted<std::pair<const uint64_t, String>>>;

// Names of 6 to 54 letters: some fit in the string itself, most do not.
String name_of(uint64_t key)
{
    uint64_t bits = rng_mix(key);
    String name("key");
    name.append(3 + bits % 49, static_cast<char>('a' + bits % 26));
    for (; key > 0; key /= 16)
        name.push_back("0123456789abcdef"[key % 16]);
    return name;
}

class Containers {
public:
    const char *step(uint64_t key, uint64_t choice)
    {
        if (choice < 50) return put(key, static_cast<uint32_t>(choice));
        if (choice < 75) return remove(key);
        return choice < 95 ? find(key) : walk(key);
    }

private:
    const char *put(uint64_t key, uint32_t number)
    {
        auto found = index.try_emplace(name_of(key), Entry{key, Numbers()}).first;
        found->second.numbers.push_back(number);
        order.insert_or_assign(key, found->first);
        return nullptr;
    }

    const char *find(uint64_t key)
    {
        auto found = index.find(name_of(key));
        if ((found != index.end()) != (order.count(key) == 1)) return "a key is in one container only";
        return found == index.end() || found->second.key == key ? nullptr : "an entry belongs to another key";
    }

    const char *remove(uint64_t key)
    {
        return index.erase(name_of(key)) == order.erase(key) ? nullptr : "a key is in one container only";
    }

    // The names of the next sixteen keys in one string, as a program that prints them makes it.
    const char *walk(uint64_t key)
    {
        String line;
        auto at = order.lower_bound(key);
        for (int i = 0; i < 16 && at != order.end(); i++, ++at)
            line += at->second + ",";
        return line.empty() || line.back() == ',' ? nullptr : "a line has lost its end";
    }

    Index index;
    Order order;
};

// Without memory a step may have done half of its work, which the next find would call a fault. So all is dropped.
void steps_run(StringMapJob *job, const char **fault)
{
    Containers containers;
    try {
        for (; job->ops > 0 && *fault == nullptr; job->ops--) {
            const uint64_t r = rng_next(&job->rng);
            const uint64_t key = rng_bounded(static_cast<uint32_t>(r), job->keys);
            const uint64_t choice = rng_bounded(static_cast<uint32_t>(r >> 32), 100);
            job->checksum = rng_rotate(job->checksum, 7) + (key << 8 ^ choice);
            *fault = containers.step(key, choice);
            job->on_live(job->context, live_bytes);
        }
    } catch (const std::bad_alloc &) {
        job->alloc_failed++;
        job->ops--;
    }
}

} // namespace

const char *string_map_run(StringMapJob *job)
{
    const char *fault = nullptr;
    while (job->ops > 0 && fault == nullptr)
        steps_run(job, &fault);
    job->on_live(job->context, live_bytes);
    job->allocated = allocated;
    job->freed = freed;
    return fault;
}
