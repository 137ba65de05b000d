#!/usr/bin/env bash
# What must never be seen, on no machine that C11 allows: every litmus/*.litmus holds under herd7, and no longer does with
# one order weaker. A file is in herd's language, with comments of ours before the initial state:
#
#     (* code: where in allocator/src that is *)
#     (* weaker [at K]: a sed script; with it the condition must come true *)
#     (* places: 1 2 3 *)       the test is made for each K of them: lines @K stay in that one alone. BARRIER is what the
#                               kernel makes a running thread do for another's membarrier; P1 waits for it
# With LITMUS_NEEDED=1 it fails where herd7 cannot be had. Arguments: names of files; none means all.
. "$(dirname "$0")/../unit/tap.bash"
here=allocator/tests/model/litmus

if ! herd=$(.ci/within 240 bash $here/herd7 2> "$tmp/why"); then
    [ -z "${LITMUS_NEEDED:-}" ] || { echo "Bail out! no herd7: $(tail -1 "$tmp/why")"; exit 1; }
    echo "1..0 # SKIP no herd7: $(tail -1 "$tmp/why")"
    exit
fi

make_test() { # make_test FILE PLACE SED
    PLACE=$2 perl -0pe '
        s/^\(\*.*?\*\)\n//smg;
        s/^\@$ENV{PLACE} //mg;
        s/^\@.*\n//mg;
        s/\bBARRIER\b/int called = atomic_load_explicit(begun, memory_order_acquire);
            atomic_thread_fence(memory_order_seq_cst);
            atomic_store_explicit(passed, 1, memory_order_release);/g' "$1" | sed "$3"
}

# Prints what herd says, among it "Observation NAME Never" or Sometimes or Always.
observe() { # observe FILE PLACE SED
    local model=rc11.cat
    [[ $(head -1 "$1") == AArch64* ]] && model=aarch64.cat
    make_test "$@" > "$tmp/test.litmus"
    "$herd" -model $model "$tmp/test.litmus" 2>&1
}

comments() { sed -n "s/^(\* $2: \(.*\) \*)$/\1/p" "$1"; } # comments FILE WHAT

check() { # check FILE
    local name place places weaker said
    name=$(basename "$1" .litmus)
    places=$(comments "$1" places)
    for place in ${places:-0}; do
        said=$(observe "$1" "$place" '')
        [[ $said == *"Observation $name Never"* && $said != *Flag* ]]
        report $? "$name${places:+, at place $place} holds" "$said"
        if [ -n "$places" ]; then # else it could hold because the barrier is never met
            said=$(observe "$1" "$place" 's/^exists .*/exists (0:called=1 \/\\ 1:waited=1)/')
            [[ $said == *"Observation $name Sometimes"* ]]
            report $? "$name, at place $place comes to its barrier" "$said"
        fi
        while read -r weaker; do
            said=$(observe "$1" "$place" "$weaker")
            [[ $said == *"Observation $name Sometimes"* ]] && ! cmp -s <(make_test "$1" "$place" '') "$tmp/test.litmus"
            report $? "$name${places:+, at place $place} does not hold with $weaker" "$said"
        done < <(comments "$1" "weaker${places:+ at $place}")
    done
}

for name in "${@:-*}"; do
    for file in $here/$name.litmus; do
        check "$file"
    done
done
done_testing
