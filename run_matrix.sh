#!/usr/bin/env bash
# Builds everything, measures a matrix of allocators and workloads, draws plots, writes a report and prints a table.
set -euo pipefail
called_as=$0
called_from=$PWD
cd "$(dirname "$(readlink -f "$0")")"

matrices() { for file in harness/matrix/*.yaml; do basename "$file" .yaml; done; }

usage() {
    cat <<TXT
Usage: $called_as [MATRIX] [OPTION...]
Builds allocator, workloads and harness, measures MATRIX (default: quick) into a new folder below results/, draws its
plots, writes its report.html and report.md, and prints its table. Installs missing Debian packages first, with sudo when not root.
Peers that the matrix names and harness/peers.sh can build are built once, into build/peers/.

Matrices: $(matrices | paste -sd ' ')
Options are those of \`build/hzb run\`, among them:
  -a REGEX            only allocators whose whole name matches
  -w REGEX            only cells whose id or workload matches
  --rounds=N          rounds of every cell
  --allocator=NAME=PATH   one more allocator, from any library
  --shard=I/N         one slice of the cells, for several machines; hzb merge puts them together
  --lane=diag         then also count system calls, page faults and instructions
  --dry-run, --test   say how long it would take; one tiny round that only verifies
Paths in options start from the repository's top folder.
A matrix with gates is decided by \`hzb gate\`: verdict.json and a table. One that was cut short goes on when it is called
again without options. Pinned libraries that are missing are pinned from this build: \`hzb baseline set NAME hz3\`.
When a night ends clean, what it measured becomes the baseline last-good.
Exit code: 0 clean, 10 regression or a claim that fails, 12 bad samples, 13 environment changed, 64 usage, 69 a package
cannot be installed, 70 internal, 74 input or output, 130 interrupted.
TXT
}

matrix=quick
case ${1-} in
-h | --help) usage; exit 0 ;;
-* | '') ;;
*) matrix=$1; shift ;;
esac
# A path is as good as a name, if it is the path of one of them.
if [[ $(readlink -f "$called_from/$matrix" || true) == "$PWD/harness/matrix/"*.yaml ]]; then matrix=$(basename "$matrix" .yaml); fi
if [[ $matrix == */* || ! -f harness/matrix/$matrix.yaml ]]; then
    echo "$called_as: '$matrix': there is no such matrix; expected one of: $(matrices | paste -sd ' ')" >&2
    exit 64
fi

bash harness/setup.sh
make --no-print-directory -s -j"$(nproc)"
# Peers that are built once; one that cannot be had is skipped.
grep -qE '\b(mimalloc3|jemalloc531|gperftools218|scudo)\b' "harness/matrix/$matrix.yaml" && { harness/peers.sh || true; }
build/hzb doctor || true # what it says is advice; the samples' own checks decide

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
hzb_pid=
stop() {
    [[ -z $hzb_pid ]] || { kill -TERM "$hzb_pid" 2>/dev/null || true; wait "$hzb_pid" || true; }
    echo "$called_as: interrupted; build/hzb resume goes on with what is missing" >&2
    exit 130
}
trap stop INT TERM
# measure COMMAND...: sets code. Beside the shell, which would otherwise hear of a signal when hours have passed.
measure() {
    code=0
    build/hzb "$@" >"$work/said" &
    hzb_pid=$!
    wait "$hzb_pid" || code=$?
    hzb_pid=
}
code=0
file=harness/matrix/$matrix.yaml
gated=$(grep -c '^gates:' "$file" || true)
# The first night of a machine pins what it has; later ones are compared with that until somebody sets another.
for name in $(grep -o 'baseline:[A-Za-z0-9_.-]*' "$file" | cut -d: -f2 | sort -u); do
    build/hzb baseline list | grep -q "^$name " || build/hzb baseline set "$name" hz3 >&2
done

# lines FILE: of a CSV file, 0 without one.
lines() { wc -l <"$1" 2>/dev/null || echo 0; }
# A gated run that a kill or a reboot ended goes on, if it was the whole matrix and what it measured is still here.
said=
last=$(readlink -f results/latest || true)
if ((gated && $# == 0)) && [[ $last == *_"$matrix" && $(lines "$last/runs.csv") -lt $(lines "$last/plan.csv") ]] &&
    build/hzb plan "$file" 2>/dev/null | cmp -s - "$last/plan.csv"; then
    echo "$called_as: going on with $last" >&2
    measure resume "$last"
    ((code == 13)) || said=$last
fi
if [[ -z $said ]]; then
    measure run "$file" "$@"
    said=$(<"$work/said")
fi
if [[ ! -f $said/plan.csv ]]; then # a dry run, a test, or nothing was begun
    [[ -z $said ]] || printf '%s\n' "$said"
    exit "$code"
fi

after=0
if ((gated && (code == 0 || code == 12))); then # what was measured is whole
    code=0
    build/hzb gate "$said" ${GITHUB_ACTIONS:+--annotate} >"$said/verdict.txt" || code=$?
    cat "$said/verdict.txt"
fi
# A step is seen against the last night that ended clean, a drift against what somebody pinned.
if ((gated && code == 0)) && grep -q 'baseline:last-good' "$file"; then
    build/hzb baseline advance last-good hz3 "$said" -o "$(dirname "$said")" >&2 || after=$?
fi
build/hzb plot "$said" >/dev/null || after=$?
build/hzb table "$said" | tee "$said/table.txt" || after=$?
if grep -q '^claims:' "$file"; then build/hzb claims "$said" | tee "$said/claims.txt" || after=$?; fi
build/hzb report "$said" >/dev/null || after=$?
if [[ ! -f $said/plan_whole.csv ]]; then # a slice counts once it is merged
    results=$(dirname "$said")
    if [[ -f $results/history.sqlite ]]; then build/hzb history add "$said" -o "$results"
    else build/hzb history rebuild -o "$results"; fi || after=$?
fi
echo
echo "results: $said"
echo "plots:   $said/plots/"
echo "report:  $said/report.html, report.md"
exit $((code != 0 ? code : after))
