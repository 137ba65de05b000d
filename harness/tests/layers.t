# The folders of harness/src are layers, no two modules include each other, and every header compiles alone.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

layers() { perl "$top/.ci/layers" "$@" 1 2>&1; } # 1: not even two modules that depend on each other

said=$(layers "$top/harness/src")
ok $? 'the tree keeps to its layers'
grep '^not ok\|^#' <<<"$said"

alone=''
for header in "$top"/harness/src/*/*.h; do
    ${CC:-gcc} -std=c11 -D_GNU_SOURCE -fsyntax-only -I"$top/harness/src" -x c "$header" 2>/dev/null || alone+=" $header"
done
is "$alone" '' 'every header compiles alone'

# refused NAME REGEX FILE INCLUDE: a copy of the tree in which FILE includes INCLUDE, too
refused() {
    rm -rf "$work/src"
    cp -r "$top/harness/src" "$work/src"
    sed -i "0,/^#include/s//#include \"${4//\//\\/}\"\n&/" "$work/src/$3"
    said=$(layers "$work/src")
    like "$? $said" "^1 .*not ok [0-9]+ - $2" "$1"
}
refused 'an include that goes up is found' 'includes go down' stats/stats.c gate/gate.h
refused 'so is a header that includes itself' 'no header includes itself' base/csvio.h base/csvio.h
refused 'so are two modules that include each other' 'at most 1 modules depend' base/util.c base/csvio.h
done_testing
