#!/usr/bin/env bash
# hz3 for musl, the C library of Alpine Linux: built by musl-gcc, under a program that musl-gcc has built. There the
# threads have the caches, and the handlers of fork are registered by pthread_atfork().
. "$(dirname "$0")/tap.bash"

if ! command -v musl-gcc > /dev/null; then
    skip "hz3 for musl" "no musl-gcc: apt-get install musl-tools"
    done_testing
    exit
fi
# musl-gcc knows no headers but musl's own; the kernel's come from beside glibc's.
mkdir "$tmp/include"
ln -s /usr/include/linux /usr/include/asm-generic "/usr/include/$(gcc -print-multiarch)/asm" "$tmp/include"

said=$(make -C allocator BUILD="$tmp/build" CC="musl-gcc -idirafter '$tmp/include'" all_ldpreload_scale 2>&1)
report $? "hz3 is built" "$said"
said=$(musl-gcc -idirafter "$tmp/include" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -fno-builtin -pthread \
    allocator/tests/unit/probe.c -o "$tmp/probe" 2>&1)
report $? "and so is a program" "$said"

with_musl() { env HZ3_STATS=1 LD_PRELOAD="$tmp/build/libhakozuna_hz3_scale.so" "$tmp/probe" "$@" 2>&1; }
said=$(with_musl work)
report $? "threads, all sizes, children, a trim: every block keeps its content" "$said"
[[ $said == *done*front=thread* || $said == *front=thread*done* ]]
report $? "on the thread front" "$said"
[[ $said =~ purged_pages=[1-9] && $said =~ threads_started=[1-9] ]]
report $? "and memory goes back" "$said"
said=$(with_musl fill 4096 64)
[[ $said == *blocks=16384* && $said == *purger_starts=0* ]]
report $? "a program with one thread gets no second one" "$said"
done_testing
