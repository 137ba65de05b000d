# harness/peers.sh: what it refuses, and that it leaves alone what is there. Nothing is fetched here.
source "$(dirname "$0")/lib.bash"
peers=$(cd "$(dirname "$0")/.." && pwd)/peers.sh
peers() { # peers ARGS...: sets rc, out
    out=$(BUILD=$work/b PEERS_MIRROR=http://127.0.0.1:9/debian "$peers" "$@" 2>&1)
    rc=$?
}
mkdir -p "$work/b/peers"

peers --help
is "$rc" 0 'it explains itself'
like "$out" 'mimalloc3 jemalloc531 gperftools218 scudo' 'and names what it builds'
peers mimalloc9
like "$rc $out" "^64 .*'mimalloc9': expected NAME or NAME=FOLDER" 'an unknown name is refused'
peers "mimalloc3=$work/none"
like "$rc $out" "^64 .*/none: there is no such folder" 'and so is a folder that is not there'
for name in mimalloc3 jemalloc531 gperftools218 scudo; do echo "$name" >"$work/b/peers/$name.so"; done
peers
is "$rc $out" '0 ' 'what is there already is not built again'
is "$(cat "$work/b/peers"/*.so | paste -sd' ')" 'gperftools218 jemalloc531 mimalloc3 scudo' 'and stays as it is'
echo 'mimalloc 3.9-1, a compiler' >"$work/b/peers/mimalloc3.version"
cp "$BUILD/tests/libhzbfake_a.so" "$work/b/peers/mimalloc3.so"
write_allocators <<YAML
allocators:
  - {name: a, preload: "$work/b/peers/mimalloc3.so"}
  - name: plain
YAML
run list --config "$work/conf" 2>/dev/null
like "$out" 'build: mimalloc 3.9-1, a compiler' 'hzb list has the version that it wrote'
like "$out" 'build: glibc 2\.[0-9]+' "and the C library's"
done_testing
