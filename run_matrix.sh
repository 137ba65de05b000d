#!/usr/bin/env bash
# Builds everything, measures a matrix of allocators and workloads, draws plots, writes a report and prints a table.
set -euo pipefail
called_as=$0
cd "$(dirname "$(readlink -f "$0")")"

matrices() { for file in harness/matrix/*.yaml; do basename "$file" .yaml; done; }

usage() {
    cat <<TXT
Usage: $called_as [MATRIX] [OPTION...]
Builds allocator, workloads and harness, measures MATRIX (default: quick) into a new folder below results/, draws its
plots, writes its report.html and report.md, and prints its table. Installs missing Debian packages first, with sudo when not root.

Matrices: $(matrices | paste -sd ' ')
Options are those of \`build/hzb run\`, among them:
  -a REGEX            only these allocators
  -w REGEX            only cells whose id or workload matches
  --rounds=N          rounds of every cell
  --allocator=NAME=PATH   one more allocator, from any library
  --shard=I/N         one slice of the cells, for several machines; hzb merge puts them together
  --lane=diag         then also count system calls, page faults and instructions
  --dry-run, --test   say how long it would take; one tiny round that only verifies
Paths in options start from the repository's top folder.
Exit code: that of \`hzb run\` (0 clean, 12 bad samples, 64 usage, 70 internal, 74 input or output).
TXT
}

matrix=quick
case ${1-} in
-h | --help) usage; exit 0 ;;
-* | '') ;;
*) matrix=$1; shift ;;
esac
if [[ $matrix == */* || ! -f harness/matrix/$matrix.yaml ]]; then
    echo "$called_as: '$matrix': there is no such matrix; expected one of: $(matrices | paste -sd ' ')" >&2
    exit 64
fi

bash harness/setup.sh
make --no-print-directory -s -j"$(nproc)"
build/hzb doctor || true # what it says is advice; the samples' own checks decide

trap 'echo "$called_as: interrupted; build/hzb resume goes on with what is missing" >&2; exit 130' INT TERM
code=0
said=$(build/hzb run "harness/matrix/$matrix.yaml" "$@") || code=$?
if [[ ! -f $said/plan.csv ]]; then # a dry run, a test, or nothing was begun
    [[ -z $said ]] || printf '%s\n' "$said"
    exit "$code"
fi

after=0
build/hzb plot "$said" >/dev/null || after=$?
build/hzb report "$said" >/dev/null || after=$?
if [[ ! -f $said/plan_whole.csv ]]; then # a slice counts once it is merged
    results=$(dirname "$said")
    if [[ -f $results/history.sqlite ]]; then build/hzb history add "$said" -o "$results"
    else build/hzb history rebuild -o "$results"; fi || after=$?
fi
build/hzb table "$said" | tee "$said/table.txt" || after=$?
echo
echo "results: $said"
echo "plots:   $said/plots/"
echo "report:  $said/report.html, report.md"
exit $((code != 0 ? code : after))
