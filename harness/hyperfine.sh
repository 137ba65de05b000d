#!/usr/bin/env bash
# Whole programs under hz3 and its peers, by hyperfine: one run of each at a time, round by round and in an order that
# is turned every round, so that what drifts hits all alike. Then imports and draws the lot.
#   make hyperfine [ROUNDS=10] [ALLOCATORS='hz3|glibc']
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
rounds=${ROUNDS:-10}
hzb=${BUILD:-build}/hzb
command -v hyperfine >/dev/null || { echo "hyperfine: not installed; run harness/setup.sh" >&2; exit 69; }

# Libraries only: an environment or a build of its own would not get here.
mapfile -t arms < <("$hzb" list |
    awk '/^Workloads/ {exit}
         /^    env:/ {library = ""}
         /^  [^ ]/ {if (library) print name, library
                    name = $1; library = /MISSING|not installed|built with/ ? "" : $2 ~ /^\// ? $2 : "-"}
         END {if (library) print name, library}' |
    grep -E "^(${ALLOCATORS:-hz3|glibc|jemalloc|mimalloc|tcmalloc}) ")
((${#arms[@]})) || {
    echo "hyperfine: ALLOCATORS='${ALLOCATORS-}' matches none of \`hzb list\` that is there and is a library alone" >&2
    exit 64
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/rows.sql" <<'SQL'
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO t SELECT i, 'row ' || (i * 7919 % 200000), i * 0.5 FROM n;
CREATE INDEX by_name ON t(name);
SELECT count(*), sum(value) FROM t WHERE name > 'row 5';
SELECT group_concat(name) FROM (SELECT name FROM t ORDER BY value DESC LIMIT 50000);
SQL
cat >"$work/objects.py" <<'PY'
import json
tree = {str(i): [{"key": j, "text": "x" * (j % 50)} for j in range(20)] for i in range(8000)}
text = json.dumps(tree)
for _ in range(3):
    tree = json.loads(text)
print(len(sorted(text.split(",")[:200000])))
PY
# The server is what is compared; the client runs as it is.
cat >"$work/redis.sh" <<'SH'
dir=$(mktemp -d)
env ${1:+LD_PRELOAD=$1} redis-server --port 0 --unixsocket "$dir/socket" --dir "$dir" --save '' >"$dir/log" &
server=$!
for _ in $(seq 100); do [ -S "$dir/socket" ] && break; sleep 0.02; done
redis-benchmark -s "$dir/socket" -q -n 50000 -d 200 -r 100000 -t set,lpush,lpop >/dev/null
code=$?
kill $server
wait $server
rm -r "$dir"
exit $code
SH
# What to run under the library $1 ('' for the C library's malloc); nothing if the program is not installed.
command_of() { # command_of PROGRAM LIBRARY
    local preload="env ${2:+LD_PRELOAD=$2}"
    case $1 in
    sqlite3) echo "$preload sqlite3 -init $work/rows.sql :memory: .quit" ;;
    python3) echo "$preload PYTHONMALLOC=malloc /usr/bin/python3 $work/objects.py" ;;
    gcc) echo "$preload gcc -O2 -D_GNU_SOURCE -c -o /dev/null harness/src/commands/cli.c" ;;
    redis-server) echo "sh $work/redis.sh $2" ;;
    esac
}

files=()
for program in sqlite3 python3 gcc redis-server; do
    command -v "$program" >/dev/null || { echo "hyperfine: $program is not installed: left out" >&2; continue; }
    for ((round = 0; round < rounds; round++)); do
        for ((i = 0; i < ${#arms[@]}; i++)); do
            read -r name library <<<"${arms[(i + round) % ${#arms[@]}]}"
            [[ $library == - ]] && library=
            file=$work/$program.$round.$name.json
            hyperfine -r1 -N --style none --export-json "$file" -n "$program/$name" \
                "$(command_of "$program" "$library")" >/dev/null 2>"$work/err" ||
                { echo "hyperfine: $program under $name:" >&2; cat "$work/err" >&2; exit 70; }
            files+=("$file")
        done
    done
    echo "hyperfine: $program done" >&2
done
exec "$hzb" import-hyperfine "${files[@]}"
