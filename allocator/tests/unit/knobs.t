#!/usr/bin/env bash
# Every knob of the list that HZ3_KNOBS=1 prints, flipped alone, serves a small program; bad values are reported and
# change nothing; suffixes are understood.
. "$(dirname "$0")/tap.bash"

declare -A value low high choices
names=()

# Lines: HZ3_NAME=value (default D, MIN..MAX) meaning; the same with A|B|... ; HZ3_NAME=value (text) meaning
line='^(HZ3_[A-Z0-9_]+)=([^ ]*) \((default ([^,]+), (([^.|]+)\.\.([^)]+)|[^)]+\|[^)]+)|text)\) .+$'
while IFS= read -r text; do
    if [[ $text =~ $line ]]; then
        name=${BASH_REMATCH[1]}
        names+=("$name")
        value[$name]=${BASH_REMATCH[2]}
        low[$name]=${BASH_REMATCH[6]} high[$name]=${BASH_REMATCH[7]}
        [ -n "${low[$name]}" ] || choices[$name]=${BASH_REMATCH[5]//|/ }
    else
        report 1 "a line of HZ3_KNOBS=1 reads as a knob" "$text"
    fi
done < <(with_lane scale HZ3_KNOBS=1 "$probe" rss 2>&1 > /dev/null)
in_source=$(grep -c '^HZ3_KNOB(' allocator/src/base/hz3_knobs.def)
[ ${#names[@]} -eq "$in_source" ] && [ "$in_source" -gt 0 ]
report $? "HZ3_KNOBS=1 prints all $in_source knobs" "printed: ${names[*]}"

in_bytes() { # in_bytes NUMBER-WITH-SUFFIX
    case $1 in
        *K) echo $((${1%K} << 10)) ;;
        *M) echo $((${1%M} << 20)) ;;
        *G) echo $((${1%G} << 30)) ;;
        *T) echo $((${1%T} << 40)) ;;
        *) echo $(($1)) ;;
    esac
}

printed_value() { # printed_value NAME NAME=VALUE...: of the knob, when these are set
    local name=$1
    shift
    with_lane scale "$@" HZ3_KNOBS=1 "$probe" rss 2>&1 > /dev/null | sed -n "s/^$name=\([^ ]*\) (.*/\1/p"
}

# The program runs in both lanes without a complaint, and the value is in force.
works() { # works NAME VALUE PRINTED
    local lane said failed=
    for lane in scale debug; do
        said=$(with_lane $lane HZ3_KNOBS=1 "$1=$2" "$probe" work 2> "$tmp/err") || failed+="$lane: exit $?; "
        [ "$said" = done ] && ! grep '^hz3: ' "$tmp/err" || failed+="$lane: said $said; "
        grep -qF "$1=$3 (" "$tmp/err" || failed+="$lane: $(grep "^$1=" "$tmp/err"); "
        rm -f "$tmp/stats"
    done
    [ -z "$failed" ]
    report $? "a program runs with $1=$2" "$failed"
}

for name in "${names[@]}"; do
    case $name in
        HZ3_STATS_FILE) works $name "$tmp/stats" "$tmp/stats"; continue ;;
        HZ3_ARENA_SIZE) works $name 64M 67108864 ;;
        HZ3_HARDEN) continue ;; # below: the other lanes say that it has no effect
        HZ3_KNOBS) continue ;; # all the others show that it works
    esac
    if [ -n "${choices[$name]:-}" ]; then
        for other in ${choices[$name]}; do works "$name" "$other" "$other"; done
        said=$(with_lane scale "$name=nonsense" "$probe" rss 2>&1 > /dev/null)
        [[ $said == "hz3: $name=nonsense (environment) is not one of ${choices[$name]// /|}; the default "* ]]
        report $? "$name takes its choices only" "$said"
        continue
    fi
    for other in "${low[$name]}" "${high[$name]}"; do works "$name" "$other" "$(in_bytes "$other")"; done
done

# All at once: each is named with its value, and none is taken.
for bad in x -1 1x 0x 18446744073709551615 99999999999999999999 3K7 ' 1' ''; do
    settings=()
    for name in "${names[@]}"; do
        [ -n "${low[$name]}" ] && [ "$name" != HZ3_KNOBS ] && settings+=("$name=$bad")
    done
    with_lane scale "${settings[@]}" HZ3_KNOBS=1 "$probe" rss > /dev/null 2> "$tmp/err"
    status=$?
    complaint=
    for setting in "${settings[@]}"; do
        name=${setting%%=*}
        grep -qF "hz3: $setting (environment) is not " "$tmp/err" || complaint+="no word of $setting; "
        grep -qF "$name=${value[$name]} (" "$tmp/err" || complaint+="$name has changed; "
        # The message tells the range and what holds now.
        stays=$(grep -F "hz3: $setting (" "$tmp/err" |
            sed -n "s/.* from ${low[$name]} to ${high[$name]}; the default \([^ ]*\) stays\$/\1/p")
        [ -n "$stays" ] && [ "$(in_bytes "$stays")" = "${value[$name]}" ] || complaint+="$name: '$stays' stays; "
    done
    [ $status -eq 0 ] && [ -z "$complaint" ]
    report $? "'$bad' is refused by every knob that is a number" "exit $status $complaint"
done
said=$(with_lane scale HZ3_KNOBS=2 "$probe" rss 2>&1 > /dev/null)
[[ $said == "hz3: HZ3_KNOBS=2 (environment) is not 0 or 1"* ]] && [[ $said != *$'\n'* ]]
report $? "HZ3_KNOBS=2 is refused" "$said"
said=$(with_lane scale HZ3_SHARDS=1K "$probe" rss 2>&1 > /dev/null)
[[ $said == "hz3: HZ3_SHARDS=1K (environment) is not a whole number from 0 to 64"* ]]
report $? "a count has no suffix" "$said"

hardened_words() { # hardened_words LIST: what is in force in lane hardened
    with_lane hardened HZ3_KNOBS=1 "HZ3_HARDEN=$1" "$probe" rss 2>&1 > /dev/null | sed -n 's/^HZ3_HARDEN=\([^ ]*\) (.*/\1/p'
}
all=canary,zero,random,guard,quarantine
for list in canary zero random guard quarantine none guard,zero $all; do
    is=$(hardened_words "$list")
    [ "$is" = "${list/guard,zero/zero,guard}" ] && [ "$(with_lane hardened "HZ3_HARDEN=$list" "$probe" work 2>&1)" = done ]
    report $? "a program runs with HZ3_HARDEN=$list in lane hardened" "in force: $is"
done
[ "$(hardened_words all)" = $all ]
report $? "HZ3_HARDEN=all is every word"
for list in '' , zero, nonsense zero,nonsense all,zero 'zero canary'; do
    said=$(with_lane hardened "HZ3_HARDEN=$list" "$probe" rss 2>&1 > /dev/null)
    [[ $said == "hz3: HZ3_HARDEN=$list (environment) is not all, none, or words of canary|"*"; the default all stays" ]] &&
        [ "$(hardened_words "$list")" = $all ]
    report $? "HZ3_HARDEN='$list' is refused" "$said"
done
said=$(with_lane scale HZ3_HARDEN=zero "$probe" rss 2>&1 > /dev/null)
[[ $said == "hz3: HZ3_HARDEN has no effect in lane scale; "* ]]
report $? "a lane without the checks says so" "$said"

said=$(ulimit -f 1; with_lane scale "HZ3_STATS_FILE=$tmp/stats" "$probe" work 2>&1)
[[ $said == "hz3: HZ3_STATS_FILE=$tmp/stats: cannot create it; "*$'\n'done ]] && [ ! -e "$tmp/stats" ]
report $? "a stats file that is larger than the process may write is refused" "$said"

while read -r text bytes; do
    is=$(printed_value HZ3_MAPPED_CACHE_BYTES "HZ3_MAPPED_CACHE_BYTES=$text")
    [ "$is" = "$bytes" ]
    report $? "$text is $bytes bytes" "printed: $is"
done << 'EOT'
0 0
4096 4096
3K 3072
3k 3072
5M 5242880
7g 7516192768
0x10 16
0x10K 16384
EOT
is=$(printed_value HZ3_SHARDS HZ3_SHARDS=010)
[ "$is" = 10 ]
report $? "a leading zero makes no octal number" "printed: $is"
long=$(printf '%0600d' 7)
said=$(with_lane scale HZ3_SHARDS=x$long HZ3_X$long=1 "$probe" rss 2>&1 > /dev/null)
[[ $said == *"hz3: HZ3_SHARDS=x00"*" is not a whole number from 0 to 64; the default 0 stays"* ]] &&
    [[ $said == *"hz3: HZ3_X00"*" is no knob and has no effect; "* ]]
report $? "a long value or name does not take the message's end" "$said"
said=$(with_lane scale HZ3_ARENA_SIZE=64 HZ3_STATS=1 "$probe" rss 2>&1 > /dev/null)
[[ $said == *'[HZ3_STATS] segments_opened=1'* ]]
report $? "the smallest arena is a segment" "$said"
said=$(with_lane scale HZ3_NO_SUCH_KNOB=1 "$probe" rss 2>&1 > /dev/null)
[[ $said == "hz3: HZ3_NO_SUCH_KNOB is no knob"* ]]
report $? "a knob that does not exist is reported" "$said"
done_testing
