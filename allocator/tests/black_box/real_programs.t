#!/usr/bin/env bash
# Real programs under LD_PRELOAD of each lane must write, byte for byte, what they write without it.
# Usage: real_programs.t [PROGRAM...]     only these
set -u
top=$(cd "$(dirname "$0")/../../.." && pwd)
build=$(cd "${BUILD:-$top/build}" && pwd) || exit 1
lanes=(scale fast)
work=$(mktemp -d)
server=
. "$top/.ci/tap.bash"
. "$top/.ci/patience.bash"

# By .ci/within, which passes the signal on and follows with another.
stop_server() {
    [ -n "$server" ] && kill "$server" 2> /dev/null && wait "$server"
    server=
}
finish() {
    stop_server
    rm -rf "$work"
}
trap finish EXIT # not TERM, for which bash would wait until the program at hand has ended

export LC_ALL=C HOME=$work GIT_CONFIG_NOSYSTEM=1 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PERL_HASH_SEED=0
export NODE_DISABLE_COLORS=1

# Runs a program under the lane at hand; the library's lines at exit prove that it was there.
bound="$top/.ci/within 100 env"
under() { $bound ${library:+LD_PRELOAD=$library HZ3_STATS=1} "$@"; }

# ---- the programs: each function runs one in an empty folder and writes what must not depend on the allocator ----

python3_needs=python3
run_python3() {
    local python
    python=$(cd / && python3 -c 'import sys; print(sys.executable)')
    PYTHONMALLOC=malloc under "$python" -I - << 'END'
import hashlib, json, os, re, subprocess, sys, threading, zlib
words = [hashlib.md5(str(i).encode()).hexdigest() for i in range(60000)]
table = {w: [i, w[::-1], {"n": i * i}] for i, w in enumerate(words)}
text = json.dumps(table, sort_keys=True)
print(len(text), hashlib.sha256(text.encode()).hexdigest())
assert json.loads(text) == table
print(len(re.findall(r"[a-f]{4,}", text)), len(zlib.compress(text.encode(), 6)))
def work(out, k):
    parts = [bytes([k]) * (n % 70000) for n in range(0, 400000, 997)]
    out[k] = hashlib.sha256(b"".join(parts)).hexdigest()
results = {}
threads = [threading.Thread(target=work, args=(results, k)) for k in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sorted(results.items()))
pids = []
for i in range(10):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if hashlib.md5(str(sorted(table)[i]).encode()).hexdigest() else 1)
    pids.append(pid)
print([os.waitpid(p, 0)[1] for p in pids])
child = [sys.executable, "-I", "-c", "print(3 ** 2000 % 10 ** 50)"]
print(subprocess.run(child, capture_output=True, text=True).stdout)
END
}

perl_needs=perl
run_perl() {
    under perl -e '
        my (%count, @rows);
        for my $i (1 .. 150000) {
            my $k = ($i * 7919) % 20011;
            $count{"key$k"} .= chr(97 + $i % 26);
            push @rows, $k if $i % 3;
        }
        print join(",", map { "$_=" . length $count{$_} } (sort keys %count)[0 .. 200]), "\n";
        print unpack("%32C*", join("|", sort { $a <=> $b } @rows)), "\n";
        my $text = join " ", map { $count{"key$_"} // "" } 1 .. 9000;
        print scalar(() = $text =~ /[aeiou]{2}/g), " ", length $text, "\n";
        for my $i (1 .. 8) {
            my $pid = fork;
            if (!$pid) { my @a = map { [$_, "x" x $_] } 1 .. 1000; exit @a - 1000 }
            waitpid $pid, 0;
            print "$?\n";
        }'
}

sqlite3_needs=sqlite3
run_sqlite3() {
    perl -e '
        print "create table t(id integer primary key, a text, b real, c blob);\nbegin;\n";
        for my $i (1 .. 100000) {
            printf "insert into t values(%d, \x27name%d-%s\x27, %.3f, zeroblob(%d));\n",
                $i, $i, "x" x ($i % 90), $i / 7, $i % 300
        }
        print "commit;\ncreate index ia on t(a);\ncreate index ib on t(b);\n";
        print "select count(*), sum(length(a)), round(sum(b), 2), sum(length(c)) from t;\n";
        print "select id, a from t order by a desc limit 20;\n";
        print "with recursive r(n) as (select 1 union all select n + 1 from r where n < 50000) select sum(n) from r;\n";
        print "delete from t where id % 3 = 0;\nvacuum;\npragma integrity_check;\n";
        print "select count(*), max(length(a)) from t where a like \x27name9%\x27;\n"' > script.sql
    under sqlite3 test.db '.read script.sql'
}

git_needs=git
run_git() {
    export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z'
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    under git init -q -b main repo && cd repo || return 1
    local round i
    for round in 1 2 3 4; do
        for i in $(seq 1 120); do
            mkdir -p "d$((i % 9))"
            seq "$i" "$((i * round * 3))" > "d$((i % 9))/f$i"
        done
        under git add -A && under git commit -qm "round $round" || return 1
    done
    under git log --stat --format='%H %s' | sha256sum
    under git diff HEAD~3 HEAD | sha256sum
    under git gc -q --aggressive --prune=now || return 1
    under git fsck --full --strict 2> /dev/null || return 1
    under git clone -q . ../clone && cd ../clone && under git ls-tree -r HEAD | sha256sum
    under git grep -c 77 | sort | sha256sum
}

gcc_needs=gcc
run_gcc() {
    local source defs
    defs=$(sed -n 's/^LANE_DEFS *:= *//p' "$top/allocator/lanes/scale.mk")
    # shellcheck disable=SC2086
    for source in "$top"/allocator/src/*/*.c; do
        under gcc -std=c11 -D_GNU_SOURCE -O2 -g -fPIC -I"$top/allocator/include" -I"$top/allocator/src" $defs \
            -c "$source" -o "$(basename "$source").o" || return 1
    done
    sha256sum -- *.o
}

node_needs=node
run_node() {
    cat > script.js << 'END'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { createHash } = require('crypto');
const zlib = require('zlib');
function work(k) {
    const rows = [];
    for (let i = 0; i < 20000; i++) {
        rows.push({ k, i, s: ('row' + i * k).repeat(1 + i % 7), b: Buffer.alloc(i % 3000, k) });
    }
    const text = JSON.stringify(rows.map(r => [r.s, r.b.length]));
    return createHash('sha256').update(zlib.gunzipSync(zlib.gzipSync(text))).digest('hex');
}
if (!isMainThread) {
    parentPort.postMessage(work(workerData));
} else {
    const start = k => new Promise(done => new Worker(__filename, { workerData: k }).on('message', done));
    console.log(work(1));
    Promise.all([2, 3, 4, 5].map(start)).then(all => console.log(all.join('\n')));
}
END
    under node script.js
}

redis_needs="redis-server redis-cli redis-benchmark"
redis_is_ready() {
    [ "$(redis-cli -p $port ping 2> /dev/null)" = PONG ] && grep -q "Ready to accept" server.log
}
redis_is_ready_or_gone() { redis_is_ready || ! kill -0 $server 2> /dev/null; }
redis_has_saved() { redis-cli -p $port info persistence | grep -q 'rdb_bgsave_in_progress:0'; }
redis_start() { # on a free port of the loopback
    local try
    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM))
        # Not by `under`: $! would be a shell that waits for it.
        $bound ${library:+LD_PRELOAD=$library HZ3_STATS=1} redis-server --port $port --bind 127.0.0.1 --save '' \
            --appendonly no --dir "$PWD" > server.log &
        server=$!
        until_true 10 redis_is_ready_or_gone && redis_is_ready && return 0
        stop_server
    done
    return 1
}
run_redis() {
    redis_start || { cat server.log >&2; return 1; }
    perl -e '
        for my $i (1 .. 5000) {
            print "SET key:$i ", "v" x ($i % 500), "$i\n", "LPUSH list:", $i % 10, " item$i\n";
            print "HSET hash:", $i % 50, " f$i $i\n", "ZADD zset ", ($i * 7919) % 100003, " m$i\n";
            print "DEL key:", $i - 5, "\n" if $i % 3 == 0;
        }
        print "GET key:4999\nLRANGE list:3 0 200\nHLEN hash:7\nZRANGE zset 0 300 WITHSCORES\nSTRLEN key:499\n";
        print "SORT list:5 ALPHA LIMIT 0 50\nDBSIZE\nBGSAVE\n"' | redis-cli -p $port | sha256sum
    local status=0
    redis-benchmark -q -p $port -n 20000 -c 20 -P 8 -d 200 -t set,get,lpush,lrange_100,hset,mset > bench.log 2>&1 ||
        status=1
    until_true 20 redis_has_saved
    redis-cli -p $port info persistence | grep 'rdb_last_bgsave_status'
    redis-cli -p $port get key:4999 | tail -c 20
    redis-cli -p $port shutdown nosave
    wait $server || status=1
    server=
    tr '\r' '\n' < bench.log | grep -c 'requests per second'
    return $status
}

# ---- comparison ----

result() { # result STATUS NAME FOLDER
    report "$1" "$2" "$(tail -n 15 "$3/err" | sed 's/^/stderr: /'
        diff "$work/$program.none/out" "$3/out" 2>&1 | head -n 10)"
}

run_in() { # run_in LANE: the program in an empty folder; leaves out and err in the lane's
    local lane=$1 folder=$work/$program.$1 status
    library=
    [ "$lane" != none ] && library=$build/libhakozuna_hz3_$lane.so
    # The same path each time: compilers write it into what they make.
    rm -rf "$work/cwd"
    mkdir "$folder" "$work/cwd" && cd "$work/cwd" || return 1
    "run_$program" > "$folder/out" 2> "$folder/err"
    status=$?
    cd "$top" || return 1
    return $status
}

same_output() { # same_output LANE
    run_in "$1" || return 1
    cmp -s "$work/$program.none/out" "$work/$program.$1/out" && grep -q '\[HZ3_' "$work/$program.$1/err"
}

[ $# -gt 0 ] || set -- python3 perl sqlite3 git gcc node redis
for program in "$@"; do
    needs=${program}_needs
    missing=
    for command in ${!needs}; do command -v "$command" > /dev/null || missing=$command; done
    if [ -n "$missing" ]; then
        skip "$program" "$missing not installed"
        continue
    fi
    if ! run_in none || [ ! -s "$work/$program.none/out" ]; then
        result 1 "$program without hz3" "$work/$program.none"
        continue
    fi
    for lane in "${lanes[@]}"; do
        same_output "$lane"
        result $? "$program under $lane" "$work/$program.$lane"
    done
done
done_testing
