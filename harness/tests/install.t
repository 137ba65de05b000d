# make install: an hzb that has left the source tree brings all it needs, and finds it from any folder.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

stage=$work/stage home=$work/stage/opt/hz3
env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -s -C "$top" install BUILD="${BUILD#"$top"/}" DESTDIR="$stage" PREFIX=/opt/hz3 \
    >"$work/said" 2>&1
is "$?" 0 'it is installed'
sed 's/^/# /' "$work/said"
mkdir "$work/elsewhere"
cd "$work/elsewhere" || exit 1
hzb=$home/bin/hzb
installed() { run "$@"; err=${err//$top/SOURCE}; }

is "$(find "$home" -lname '/*')" '' 'links do not lead to where it was staged'
is "$(find -L "$home" -type l)" '' 'nor anywhere else'
is "$(grep -rl -- "$top" "$home/lib/hzb/harness" "$home/lib/hzb/plots")" '' 'no file names the source tree'
is "$(man -l -w "$home/share/man/man1/hzb.1" 2>/dev/null || ls "$home/share/man/man1/hzb.1")" "$home/share/man/man1/hzb.1" 'the manual is there'

installed list nightly
is "$rc" 0 'a matrix is found by its name'
like "$out" "Allocators \\($home/lib/hzb/" 'with its allocators'
is "$(grep -c 'no such program\|not built' <<<"$out")" 0 'and programs'
installed doctor
is "$rc" 0 'the machine is looked at'
installed run quick --test -a '^hz3$' -w mixed_t1 --lock "$work/lock"
is "$rc" 0 'a matrix can be run'
like "$err" '1 samples: 1 ok' 'under the installed library'
installed run quick -a '^hz3$' -w mixed_t1 --rounds 1 --lock "$work/lock"
dir=$work/elsewhere/$out
measured=$rc
like "$measured" '^(0|12)$' 'and measured' # 12: the machine may disturb a sample
like "$(grep -o '"preload": "[^"]*"' "$dir/manifest.json")" "$home/lib/libhakozuna_hz3_scale.so" 'the library that was proven is the installed one'
installed table
like "$out" 'hz3' 'results are below the folder of the caller'
if [ "$measured" = 12 ]; then
    skip 'plot scripts' 'the machine disturbed the only sample'
elif command -v gnuplot >/dev/null; then
    installed report
    is "$rc" 0 'the plot scripts are found'
    is "$(ls "$dir/plots/throughput.svg")" "$dir/plots/throughput.svg" 'and draw'
else
    skip 'plot scripts' 'gnuplot is not installed'
fi
installed run no_such_matrix
is "$rc $err" '64 hzb: no_such_matrix: No such file or directory' 'a name that is none is a missing file'
installed run selftest --dry-run -a 'plant_none|plant_same'
like "$err" '2 allocators' 'the planted faults are there'
done_testing
