#!/usr/bin/env bash
# The sources keep to the layers and doors of allocator/src/README.md, and .ci/layers names what does not.
. "$(dirname "$0")/tap.bash"
KNOT_MAX=5

layers() { perl .ci/layers "$1" $KNOT_MAX "$2" > "$tmp/said" 2>&1; }

for lane in scale hardened; do
    layers allocator/src "$build/obj/hz3_$lane"
    report $? "the sources and the objects of lane $lane keep to their layers" "$(cat "$tmp/said")"
done

# Adds lines to a copy of the tree; .ci/layers must then fail with a message that matches.
refused() { # refused NAME MESSAGE FILE LINE [FILE LINE]...
    local name=$1 message=$2
    shift 2
    rm -rf "$tmp/src"
    cp -r allocator/src "$tmp/src"
    while (($# > 0)); do
        printf '%s\n' "$2" >> "$tmp/src/$1"
        shift 2
    done
    ! layers "$tmp/src" "$tmp/objects" && grep -Eq "^# $message" "$tmp/said"
    report $? "$name" "$(cat "$tmp/said")"
}

cp -r "$build/obj/hz3_scale" "$tmp/objects"
refused 'an include that goes up is found' 'pages/hz3_arena.c:[0-9]+ includes release/hz3_release_ledger.h' \
    pages/hz3_arena.c '#include "release/hz3_release_ledger.h"'
refused 'so is a header that includes itself' 'base/hz3_lock.h base/hz3_log.h$' \
    base/hz3_lock.h '#include "base/hz3_log.h"' base/hz3_log.h '#include "base/hz3_lock.h"'
knot=()
for i in 1 2 3 4 5 6; do
    knot+=("large/hz3_k$i.h" '' "large/hz3_k$i.c" "#include \"large/hz3_k$((i % 6 + 1)).h\"")
done
refused 'so is a knot of six modules' '6: hz3_k1 hz3_k2 hz3_k3 hz3_k4 hz3_k5 hz3_k6$' "${knot[@]}"
refused 'so is a file in the root' 'hz3_stray.h lies in no listed folder' hz3_stray.h ''
refused 'so is a door that nobody needs' 'api/hz3_none.h is listed as a door' README.md '- `api/hz3_none.h`: none'

echo 'int malloc_trim(unsigned long); int hz3_plant(void) { return malloc_trim(0); }' |
    gcc -x c -c - -o "$tmp/objects/base/hz3_plant.o"
refused 'so is a function that a lower layer declares' 'base/hz3_plant.c uses malloc_trim of api/hz3_api_info.c' \
    base/hz3_plant.c ''
done_testing
