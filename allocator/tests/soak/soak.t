#!/usr/bin/env bash
# The soak run finds what it is for: a changed byte, blocks that overlap, memory that creeps. A third of a minute is too
# short for the real limit, 0.5 % an hour being less than a page then, so the limit here is 10000.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "${BUILD:-build}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
. "$here/../../../.ci/tap.bash"

soak() { # soak NAME VARIABLE=VALUE...: leaves NAME.said and NAME.code
    env BUILD="$build" SOAK_MIN=0.3 SOAK_LIMIT=10000 SOAK_OUT="$1" "${@:2}" bash "$here/soak.sh" > "$1.said" 2>&1
    echo $? > "$1.code"
}

ended() { # ended NAME CODE TEXT DESCRIPTION: TEXT is a pattern of bash
    # shellcheck disable=SC2053
    [ "$(cat "$1.code")" -eq "$2" ] && [[ $(cat "$1.said") == $3 ]]
    report $? "$4" "exit $(cat "$1.code"): $(cat "$1.said")"
}

soak clean & soak leak SOAK_LEAK=5 &

# ---- the verdict alone, on half an hour whose slope is known ----

samples() { # samples PERCENT_AN_HOUR: with noise, one wild cycle, a warm-up that falls, and a last cycle cut short
    awk -v slope="$1" 'BEGIN {
        srand(3)
        split("growth steady burst idle shrink other", name)
        split("1.4 1.2 1.1 1.15 1.6 2.5", level)
        print "t_s,cycle,phase,rss_mib,live_mib"
        for (t = 1; t <= 1810; t++) {
            cycle = int((t - 1) / 30) + 1; phase = int((t - 1) % 30 / 5) + 1
            off = slope / 100 * t / 3600 + (rand() - 0.5) * 0.0005 + (cycle == 33 ? 0.3 : 0) + (cycle < 4 ? 0.5 : 0)
            printf "%.2f,%d,%s,%.4f,%.4f\n", t, cycle, name[phase], 40 * level[phase] * (1 + off), 40
        }
    }'
}

verdict() { # verdict CODE TEXT ARGUMENTS...
    local said code
    said=$("$here/verdict.pl" "${@:3}" 2>&1)
    code=$?
    [ $code -eq "$1" ] && [[ $said == *"$2"* ]]
    report $? "verdict.pl ${*:3}: $2" "exit $code: $said"
}

samples 0.40 > rises_0.4
samples 0.60 > rises_0.6
samples -5 > falls
verdict 0 "RSS/live: +0.4" rises_0.4 cycles 0.5
verdict 1 "RSS/live: +0.6" rises_0.6 cycles 0.5
verdict 1 "limit 0.5: FAILS" rises_0.6 cycles 0.5
verdict 0 "limit 0.7: holds" rises_0.6 cycles 0.7
verdict 0 "RSS/live: -5.0" falls cycles 0.5
[ "$(wc -l < cycles)" -eq 52 ]
report $? "51 cycles count, those of the warm-up and the one cut short do not" "$(wc -l < cycles) lines"
head -100 rises_0.4 > short
verdict 65 "'short': 2 whole cycles after the warm-up, expected at least 4" short cycles 0.5
sed '7s/,/;/' rises_0.4 > broken
verdict 65 "'broken' line 7: '6.00;1,steady" broken cycles 0.5
verdict 65 "'none': No such file" none cycles 0.5
verdict 64 "usage: verdict.pl" rises_0.4 cycles -1

# ---- whole runs ----

for at in 1 777 5000; do
    soak corrupt SOAK_CORRUPT=$at SOAK_LIVE_MIB=16
    ended corrupt 1 "*FAILS*block 0x* of * bytes, allocated by thread 0, *: byte * is *, expected *" \
        "a byte changed at op $at is found"
done
soak overlap SOAK_LIB="$build/tests/liboverlapping_malloc.so" SOAK_LIVE_MIB=16
ended overlap 1 "*block 0x* bytes, allocated by thread *: byte * expected *" "blocks that overlap are found"
soak misspelt SOAK_LIB="$build/no_such.so"
ended misspelt 66 "*'$build/no_such.so': there is no such library*" "a misspelt library is not the C library's malloc"
soak minutes SOAK_MIN=half
ended minutes 64 "*argument minutes: 'half': expected a decimal number*" "SOAK_MIN=half is refused"

wait
ended clean 0 "*every byte as it was written*limit 10000: holds*" "hz3 holds"
[ -s clean/soak.csv ] && grep -q '</svg>' clean/soak.svg && grep -q 'RSS/live' clean/soak.md &&
    [ "$(cut -d, -f3 clean/soak.csv | sort -u | wc -l)" -eq 7 ]
report $? "samples of every phase, a picture and a summary are there" "$(ls -l clean)"
ended leak 1 "*limit 10000: FAILS*" "a block lost at every fifth op is found"
done_testing
