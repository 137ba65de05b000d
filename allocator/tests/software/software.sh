#!/usr/bin/env bash
# The test suites of real programs, of Debian's source packages: each unit runs with the C library's malloc and with
# hz3, and every test must have the same result. A unit with a test that differs is run twice more with both, and the
# test counts as different only if no run with hz3 gave what any run with the C library gave: suites have flaky tests.
# Usage: software.sh [SUITE...]    what was fetched, results and differences stay in build/software
#     SOFTWARE_RESUME=1    keeps the results of units that are there from a run that was stopped
#     SOFTWARE_UNIT_S=900  the seconds a unit may take
#     SOFTWARE_LIB=LIBRARY another build of hz3
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${BUILD:-build}")
hz3=${SOFTWARE_LIB:-$build/libhakozuna_hz3_scale.so}
home=$build/software
unit_s=${SOFTWARE_UNIT_S:-900}
suites=(redis sqlite python perl git)
# Preloaded too, so that a program that was linked with another malloc has the C library's.
glibc=$(/sbin/ldconfig -p | awk '/libc\.so\.6 .*x86-64/ { print $NF; exit }')
# shellcheck source=suites.bash
. "$here/suites.bash"

fail() { echo "software: $*" >&2; exit 70; }

# Lists of source packages of our own: the system's need not have any, and stay as they are.
apt_prepare() {
    mkdir -p "$home/apt/lists/partial"
    sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources > "$home/apt/list.sources" ||
        fail "/etc/apt/sources.list.d/debian.sources: expected Debian's archives there"
    printf '%s\n' "Dir::Etc::sourcelist \"$home/apt/list.sources\";" 'Dir::Etc::sourceparts "/dev/null";' \
        "Dir::State::lists \"$home/apt/lists\";" 'Dir::Cache::pkgcache "";' 'Dir::Cache::srcpkgcache "";' \
        'APT::Sandbox::User "root";' > "$home/apt/conf"
    APT_CONFIG=$home/apt/conf apt-get update -qq
}

# The source of the version that is installed, or of the newest that the archive has: mirrors list files that they lack.
fetch_source() { # fetch_source PACKAGE: unpacks it into a folder of that name
    local version
    [ -e "$home/apt/conf" ] || apt_prepare || return 1
    for version in $(dpkg-query -W -f='${Version}' "$1" 2> /dev/null) \
        $(APT_CONFIG=$home/apt/conf apt-cache showsrc --only-source "$1" | sed -n 's/^Version: //p' | sort -rV); do
        rm -f "$1"_*.dsc
        APT_CONFIG=$home/apt/conf apt-get source -qq --only-source --download-only "$1=$version" || continue
        dpkg-source --no-check -x "$1"_*.dsc "$1"
        return
    done
    return 1
}

under() { timeout -k 5 "$unit_s" env LD_PRELOAD="$library" "$@"; }

suite_prepare() { # suite_prepare SUITE
    fetched=$home/$1
    if [ ! -e "$fetched/.ready" ]; then
        rm -rf "$fetched" && mkdir -p "$fetched"
        (cd "$fetched" && "$1_fetch" > "$home/$1.fetch.log" 2>&1) || fail "$1: cannot fetch it: see $home/$1.fetch.log"
        touch "$fetched/.ready"
    fi
    library=$hz3
    (cd "$fetched" && HZ3_STATS=1 "$1_probe" 2>&1) | grep -q '\[HZ3_' || fail "$1: $hz3 is not in its program"
}

run_unit() { # run_unit SUITE UNIT glibc|hz3 FILE: adds what came out to FILE
    local results file=$4
    library=${!3}
    scratch=$(mktemp -d)
    results=$(cd "$fetched" && "$1_run" "$2" < /dev/null | tr -d '\0')
    rm -rf "$scratch"
    printf '%s\n' "${results:-whole unit	no results}" | perl -pe '
        chomp; my ($test, $result) = split /\t/; my $n = ++$seen{$test};
        $_ = "'"$3"'\t$test" . ($n > 1 ? " #$n" : "") . "\t" . ($result // "") . "\n"' >> "$file"
}

run_suite() { # run_suite SUITE: its row of the table, and its differences
    local unit units=${1}_units round results=$home/results/$1 file
    [ -n "${SOFTWARE_RESUME:-}" ] || rm -rf "$results"
    mkdir -p "$results"
    local -a files=()
    for unit in ${!units}; do
        file=$results/${unit//\//_}
        files+=("$file")
        [ ! -e "$file" ] || continue
        rm -f "$file.part"
        for round in 1 2 3; do
            run_unit "$1" "$unit" glibc "$file.part"
            run_unit "$1" "$unit" hz3 "$file.part"
            perl "$here/compare.pl" "$1" "$file.part" > /dev/null && break
        done
        mv "$file.part" "$file"
    done
    perl "$here/compare.pl" "$1" "${files[@]}" > "$home/results/$1.row"
}

for suite in "${@:-${suites[@]}}"; do
    [[ " ${suites[*]} " == *" $suite "* ]] || { echo "software: '$suite': expected one of: ${suites[*]}" >&2; exit 64; }
done
[ -r "$hz3" ] || { echo "software: '$hz3': there is no such library" >&2; exit 66; }
[ $# -gt 0 ] || set -- "${suites[@]}"
export LC_ALL=C PERL_HASH_SEED=0 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$home/results"
status=0
for suite; do
    suite_prepare "$suite"
    run_suite "$suite" || status=1
done
echo "| suite | units | tests | same | different | passed with glibc |"
echo "|---|---:|---:|---:|---:|---:|"
for suite; do grep '^|' "$home/results/$suite.row"; done
for suite; do grep -v '^|' "$home/results/$suite.row"; done
exit $status
