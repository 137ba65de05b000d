#!/usr/bin/env bash
# Writes results/reviews/S65.md, the design review of the release path, out of a result folder of matrix s65, and copies
# the curves beside it. COSTS: a folder of the same matrix whose mixed cells had more rounds.
#     build/hzb run harness/matrix/s65.yaml && harness/contrib/s65_review.sh [RESULTS [COSTS]]
set -euo pipefail
cd "$(dirname "$0")/../.."
results=$(realpath "${1:-results/latest}")
costs=$(realpath "${2:-$results}")
out=results/reviews
hzb=${BUILD:-build}/hzb
mkdir -p "$out"
[ -s "$results/runs.csv" ] || { echo "$0: $results has no runs.csv" >&2; exit 66; }
# Curves that were drawn before are not drawn again.
ls "$results"/plots/rss_curve_*.svg > /dev/null 2>&1 || "$hzb" plot "$results" > /dev/null

# Median of a column over the good samples of a cell and an allocator; "-" when there are none.
median() { # median CELL ALLOCATOR COLUMN
    awk -F, -v cell="$1" -v arm="$2" -v column="$3" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["cell_id"] == cell && $at["allocator"] == arm && $at["status"] == "ok" && $at[column] != "" { print $at[column] }
    ' "$results/runs.csv" | sort -g | awk '{ v[NR] = $1 } END {
        if (NR == 0) print "-"; else printf "%.6g\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# Column against that of hz3_s65_off in the same round, so that what the machine did in between counts for neither: the
# median over the rounds, and the ends of its 95 % interval by order statistics (the extremes for fewer than six rounds).
against_off() { # against_off CELL ALLOCATOR COLUMN
    awk -F, -v cell="$1" -v arm="$2" -v column="$3" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["cell_id"] != cell || $at["status"] != "ok" { next }
        $at["allocator"] == arm { of[$at["round"]] = $at[column] }
        $at["allocator"] == "hz3_s65_off" { off[$at["round"]] = $at[column] }
        END { for (r in of) if (off[r] > 0) print of[r] / off[r] }
    ' "$costs/runs.csv" | sort -g | awk '{ v[NR] = $1 } END {
        if (NR == 0) { print "- - -"; exit }
        k = NR < 6 ? 0 : int((NR - 1.96 * sqrt(NR)) / 2)
        printf "%.3f %.3f %.3f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2, v[k + 1], v[NR - k] }'
}

arms() { # arms ROLE
    awk -F, -v role="$1" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["role"] == role && !seen[$at["allocator"]]++ { print $at["allocator"] }' "$results/runs.csv"
}

mib() { [ "$1" = - ] && echo - || awk -v kib="$1" 'BEGIN { printf "%.1f", kib / 1024 }'; }
ratio() { # ratio A B
    [ "$1" = - ] || [ "$2" = - ] && echo - || awk -v a="$1" -v b="$2" 'BEGIN { if (b == 0) print "-"; else printf "%.3f", a / b }'
}

burst_rows() { # burst_rows CELL
    echo "| allocator | peak RSS MiB | idle RSS MiB | idle / peak | purged pages | madvise calls | pages a call |"
    echo "|---|---:|---:|---:|---:|---:|---:|"
    for arm in $(arms cand) $(arms ref); do
        local peak idle pages calls
        peak=$(median "$1" "$arm" peak_rss_kib)
        idle=$(median "$1" "$arm" idle_rss_kib)
        pages=$(median "$1" "$arm" purged_pages)
        calls=$(median "$1" "$arm" madvise_calls)
        echo "| $arm | $(mib "$peak") | $(mib "$idle") | $(ratio "$idle" "$peak") | $pages | $calls | $(ratio "$pages" "$calls") |"
    done
}

cost_rows() {
    echo "| cell | $(arms cand | sed 's/$/ |/' | tr '\n' ' ')"
    echo "|---|$(arms cand | sed 's/.*/---:|/' | tr -d '\n')"
    for cell in mixed_t2_r0 mixed_t2_r50 mixed_t2_r90 mixed_t8_r50; do
        local speed="| $cell: speed |" faults="| $cell: page faults |"
        for arm in $(arms cand); do
            speed+=" $(against_off $cell "$arm" ops_per_s | cut -d' ' -f1) |"
            faults+=" $(against_off $cell "$arm" minflt | cut -d' ' -f1) |"
        done
        printf '%s\n%s\n' "$speed" "$faults"
    done
}

# A claim, whether the figures bear it out, and the figures.
claim() { # claim VALUE OPERATOR LIMIT TEXT
    local verdict
    verdict=$([ "$1" = - ] && echo "not measured" ||
        awk -v v="$1" -v l="$3" "BEGIN { print (v $2 l) ? \"holds\" : \"FAILS\" }")
    echo "| $4 | $1 $2 $3 | $verdict |"
}

# The same for a cost: it holds or fails when the whole interval is on one side of the limit, and is open otherwise.
cost_claim() { # cost_claim CELL COLUMN OPERATOR LIMIT TEXT
    local mid low high
    read -r mid low high < <(against_off "$1" hz3 "$2")
    local verdict
    verdict=$([ "$mid" = - ] && echo "not measured" || awk -v m="$mid" -v a="$low" -v b="$high" -v l="$4" "BEGIN {
        print (a $3 l) && (b $3 l) ? \"holds\" : (a $3 l) || (b $3 l) ? (m $3 l) ? \"open: the median is within, the interval reaches over\" : \"open: the interval reaches over the limit\" : \"FAILS\" }")
    echo "| $5 | $mid ($low to $high) $3 $4 | $verdict |"
}

best_peer_idle() { # best_peer_idle CELL
    for arm in $(arms ref); do median "$1" "$arm" idle_rss_kib; done | grep -v '^-$' | sort -g | head -1
}

claims() {
    echo "| claim | figures | |"
    echo "|---|---|---|"
    for cell in burst_asleep burst_ticks burst_exit; do
        claim "$(ratio "$(median $cell hz3 idle_rss_kib)" "$(median $cell hz3 peak_rss_kib)")" '<=' 0.02 \
            "$cell: idle RSS within 2 % of the peak (the baseline included)"
        claim "$(ratio "$(median $cell hz3 purged_pages)" "$(median $cell hz3 madvise_calls)")" '>=' 100 \
            "$cell: at least 100 pages a call"
    done
    claim "$(ratio "$(median burst_keep20 hz3 idle_rss_kib)" "$(best_peer_idle burst_keep20 || echo -)")" '<=' 0.70 \
        "burst_keep20: idle RSS against the best peer's"
    for cell in mixed_t2_r0 mixed_t2_r50 mixed_t2_r90 mixed_t8_r50; do
        cost_claim $cell ops_per_s '>=' 0.98 "$cell: speed against S65 off"
        cost_claim $cell minflt '<=' 1.05 "$cell: page faults against S65 off"
    done
}

decision() {
    case $(claims) in
    *FAILS*) echo "NO-GO as it stands: a claim above fails." ;;
    *'open:'*) echo "GO: no claim fails; what is open the noise of this machine does not let decide." ;;
    *'not measured'*) echo "Open: what was measured holds, but not every claim was measured." ;;
    *) echo "GO: every claim holds; the defaults stay." ;;
    esac
}

# Two of the four: with ticks or with workers that end the curves look like the first.
curves() {
    for cell in burst_asleep burst_keep20; do
        local svg=$results/plots/rss_curve_$cell.svg
        [ -e "$svg" ] || continue
        cp "$svg" "$out/S65_$cell.svg"
        echo "![$cell](S65_$cell.svg)"
        echo
    done
}

cat > "$out/S65.md" <<MD
# S65: does everything free go back while everybody sleeps?

Made by \`harness/contrib/s65_review.sh\` from \`$(basename "$results")\`$(
    [ "$costs" = "$results" ] || echo ", costs from \`$(basename "$costs")\`"); medians of the good samples.

## Question
A burst is freed, and every thread goes to sleep. The caches in front, the arrays between threads, half-empty runs and
free pages all hold memory, and nobody calls the allocator any more. Does it reach the OS, what does that cost a program
that never stops, and which of the pieces is needed?

## Claims
$(claims)

## Workers asleep, nobody ticks
$(burst_rows burst_asleep)

## The seed's command: an epoch every 100 ms from the main thread
$(burst_rows burst_ticks)

## Workers that end
$(burst_rows burst_exit)

## One object in five stays
$(burst_rows burst_keep20)

## Cost, against the same build with all of it off
$(cost_rows)

## Curves
$(curves)
## Decision
$(decision)
MD
echo "$out/S65.md"
