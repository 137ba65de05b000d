#!/usr/bin/env bash
# HZ3_LDPRELOAD_DEFS_EXTRA: the command lines of the seed notes build a library with other defaults; a change of the
# definitions builds again, the same ones don't.
. "$(dirname "$0")/tap.bash"
unset MAKEFLAGS MAKELEVEL MFLAGS LD_PRELOAD
ours=$tmp/build
seeds='-DHZ3_S65_RELEASE_BOUNDARY=1 -DHZ3_S65_RELEASE_LEDGER=1 -DHZ3_S65_RELEASE_COVERAGE=1 -DHZ3_S65_STATS=1'
sources=$(ls allocator/src/*/*.c | wc -l)

build_with() { # build_with DEFS TARGET...; leaves its output in $said
    local defs=$1
    shift
    said=$(make -j2 -C allocator BUILD="$ours" "$@" HZ3_LDPRELOAD_DEFS_EXTRA="$defs" 2>&1)
}

compiled() {
    grep -c '^  CC ' <<< "$said"
}

run() { # run [NAME=VALUE...]: stderr of a small program under the library just built
    env LD_PRELOAD="$ours/libhakozuna_hz3_ldpreload.so" "$@" "$probe" work 2>&1 > /dev/null
}

build_with "$seeds" clean all_ldpreload_scale
[ $? -eq 0 ] && [ "$(compiled)" -eq "$sources" ]
report $? "make clean all_ldpreload_scale with the definitions of S65" "$said"
lines=$(run)
for wanted in '[HZ3_S65] enq=' '[HZ3_S65_MEDIUM] reclaim_runs=' '[HZ3_S45] reclaim_calls='; do
    grep -qF "$wanted" <<< "$lines"
    report $? "its programs print $wanted at exit" "$lines"
done
purged=$(sed -n 's/^\[HZ3_S65\] .*purged_pages=\([0-9]*\).*/\1/p' <<< "$lines")
[ "${purged:-0}" -gt 0 ]
report $? "the program purged pages" "$lines"
strings -a "$ours/libhakozuna_hz3_scale.so" | grep 'hz3 build:' | grep -qF -- "$seeds"
report $? "the library tells its definitions"
cmp -s "$ours/libhakozuna_hz3_scale.so" "$ours/libhakozuna_hz3_ldpreload.so"
report $? "libhakozuna_hz3_ldpreload.so is the scale lane"

build_with "$seeds" all_ldpreload_scale
[ $? -eq 0 ] && [ "$(compiled)" -eq 0 ] && ! grep -q '^  LD ' <<< "$said"
report $? "the same definitions build nothing again" "$said"
said=$(make -C allocator BUILD="$(realpath --relative-to=allocator "$ours")" -W src/base/hz3_knobs.def \
    HZ3_LDPRELOAD_DEFS_EXTRA="$seeds" all_ldpreload_scale 2>&1)
grep -q '^  CC  scale src/base/hz3_knobs.c$' <<< "$said"
report $? "a header that changed is seen, however the folder is spelt" "$said"

build_with '-DHZ3_ARENA_SIZE=1G -DHZ3_S65_STATS=1 -DHZ3_S45=0' all_ldpreload_scale
[ $? -eq 0 ] && [ "$(compiled)" -eq "$sources" ]
report $? "other definitions build everything again" "$said"
lines=$(run HZ3_KNOBS=1)
grep -q '^HZ3_ARENA_SIZE=1073741824 ' <<< "$lines"
report $? "-DHZ3_ARENA_SIZE=1G is the default" "$lines"
grep -q '^HZ3_STATS=1 ' <<< "$lines" && grep -qF '[HZ3_STATS] refills=' <<< "$lines"
report $? "-DHZ3_S65_STATS=1 prints the counters" "$lines"
lines=$(run HZ3_KNOBS=1 HZ3_ARENA_SIZE=512M HZ3_STATS=0)
grep -q '^HZ3_ARENA_SIZE=536870912 ' <<< "$lines" && ! grep -qF '[HZ3_STATS]' <<< "$lines"
report $? "the environment overrides it" "$lines"
lines=$(run HZ3_KNOBS=1 HZ3_ARENA_SIZE=nonsense HZ3_STATS=0)
grep -q '^HZ3_ARENA_SIZE=1073741824 ' <<< "$lines" &&
    grep -q '^hz3: HZ3_ARENA_SIZE=nonsense .* the default 1G stays$' <<< "$lines"
report $? "a bad value leaves the build's default, and says so" "$lines"

# Instructions and the names that they lead to, without addresses.
code_of() { # code_of LIBRARY FUNCTION
    objdump -d --no-show-raw-insn --no-addresses "$1" | sed -n "/^<$2>:/,/^\$/p" |
        sed -E 's/[0-9a-f]+ (<[^>]*>)/\1/; s/-?0x[0-9a-f]+\(%rip\)/(%rip)/; s/ *#.*//'
}

for function in malloc free calloc realloc hz3_front_refill hz3_front_overflow; do
    code_of "$build/libhakozuna_hz3_scale.so" $function > "$tmp/with"
    code_of "$ours/libhakozuna_hz3_scale.so" $function > "$tmp/without"
    [ "$(wc -l < "$tmp/with")" -gt 20 ] && difference=$(diff "$tmp/with" "$tmp/without")
    report $? "$function is the same code without the chain of S45" "$difference"
done

every_knob=$(run HZ3_KNOBS=1 HZ3_STATS=0 | sed -n 's/^\(HZ3_[A-Z0-9_]*=[^ ]*\) (default .*/-D\1/p' | grep -v HZ3_ARENA_SIZE)
[ "$(wc -l <<< "$every_knob")" -eq $(($(grep -c '^HZ3_KNOB(.*, \(BOOL\|COUNT\|BYTES\|CHOICE\|FLAGS\),' allocator/src/base/hz3_knobs.def) - 1)) ]
report $? "every knob is printed" "$every_knob"
build_with "-DHZ3_ARENA_SIZE=banana $(tr '\n' ' ' <<< "$every_knob")" all_ldpreload_scale
report $? "every knob can be defined" "$said"
lines=$(run HZ3_KNOBS=1)
grep -qF 'hz3: HZ3_ARENA_SIZE=banana (build) is not ' <<< "$lines" && grep -q '^HZ3_ARENA_SIZE=0 ' <<< "$lines"
report $? "a bad definition is reported, too" "$lines"
done_testing
