#!/usr/bin/env bash
# Builds today's peer allocators from Debian's newest source packages, for comparison with hz3.
set -euo pipefail
called_as=$0

# NAME  SOURCE PACKAGE  VERSIONS THAT THE NAME STANDS FOR
peers='mimalloc3      mimalloc          3.
jemalloc531    jemalloc          5.3.1-
gperftools218  google-perftools  2.18'

usage() {
    cat <<TXT
Usage: $called_as [NAME[=FOLDER]...]
Builds peer allocators into build/peers/<NAME>.so; <NAME>.version beside it has their version and how they were built.
Without arguments it builds all: $(awk '{print $1}' <<<"$peers" | paste -sd ' ') scudo.

Sources are Debian's, of unstable (sid) or, where that has none of the wanted version, of testing or stable. They come from the
mirror that the system's own list names, by apt with lists of its own: the system's are not touched. FOLDER builds from
unpacked sources instead. The system's compiler builds them. What is there already stays; remove it to build it anew.
scudo is the one in Debian's libclang-rt, and is only linked to.
Installs missing Debian packages that the builds need first, with sudo when not root.

Environment: BUILD (build), CC (gcc), CXX (g++), PEERS_MIRROR (the system's), PEERS_SUITES ("sid testing stable").
Exit code: 0 all are there, 64 usage, 69 some could not be fetched or built; the others are there.
TXT
}

case ${1-} in -h | --help) usage; exit 0 ;; esac
BUILD=$(mkdir -p "${BUILD:-build}/peers" && cd "${BUILD:-build}" && pwd)
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
into=$BUILD/peers
export CC=${CC:-gcc} CXX=${CXX:-g++}
flags='-O3 -DNDEBUG'
suites=${PEERS_SUITES:-sid testing stable}
mkdir -p "$into"

say() { echo "peers: $*" >&2; }

mirror() {
    local found=${PEERS_MIRROR:-}
    [[ -n $found ]] || found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        grep -vE 'security|-debug' | grep -m1 debian || true)
    [[ -n $found ]] || { say "no Debian mirror in the system's list; set PEERS_MIRROR"; return 69; }
    echo "$found"
}

# apt with folders of its own.
apt_own() {
    local tool=$1
    shift
    "$tool" -o Dir::Etc::sourcelist="$into/apt/sources.sources" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$into/apt/lists" -o Dir::Cache="$into/apt/cache" -o Acquire::Languages=none "$@"
}

lists_fetched=
lists_fetch() {
    [[ -z $lists_fetched ]] || return 0
    local uri
    uri=$(mirror) || return
    mkdir -p "$into/apt/lists/partial" "$into/apt/cache/archives/partial"
    printf '%s\n' 'Types: deb-src' "URIs: $uri" "Suites: $suites" 'Components: main' \
        'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' >"$into/apt/sources.sources"
    say "lists of $suites from $uri"
    apt_own apt-get update >"$into/apt/update.log" 2>&1 || { tail -n 3 "$into/apt/update.log" >&2; return 69; }
    lists_fetched=1
}

# source_fetch NAME PACKAGE VERSIONS: unpacks the newest version that begins so into NAME/sources and prints it.
source_fetch() {
    local name=$1 package=$2 versions=$3 version found
    found=$(apt_own apt-cache showsrc "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -rVu)
    for version in $found; do
        [[ $version == "$versions"* ]] || continue
        rm -rf "${into:?}/$name"
        mkdir "$into/$name"
        if (cd "$into/$name" && apt_own apt-get source --download-only "$package=$version" &&
            dpkg-source --no-check -x ./*.dsc sources) >"$into/$name.log" 2>&1; then
            echo "$version"
            return
        fi
        say "$name: $package $version cannot be fetched: $(grep -m1 '^E:\|error:' "$into/$name.log" || tail -n1 "$into/$name.log")"
    done
    grep -q "^${versions//./\\.}" <<<"$found" ||
        say "$name: no version $versions* of $package; there is: $(paste -sd' ' <<<"${found:-none}")"
    return 69
}

# Each builds the sources in the current folder and prints the path of the library. They run as conditions, where errexit
# does not count.
build_mimalloc3() {
    cmake -S . -B out -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE="$flags" -DMI_BUILD_TESTS=OFF \
        -DMI_BUILD_STATIC=OFF -DMI_BUILD_OBJECT=OFF >&2 &&
        cmake --build out -j"$(nproc)" >&2 && realpath -e out/libmimalloc.so
}

# Debian's sources are the repository's, which lack `configure` and the version that git would tell.
build_jemalloc531() {
    { [[ -f configure ]] || autoconf >&2; } &&
        CFLAGS=$flags CXXFLAGS=$flags ./configure --with-version=5.3.1-0-g0 --disable-static --disable-doc >&2 &&
        make -j"$(nproc)" build_lib_shared >&2 && realpath -e lib/libjemalloc.so.2
}

build_gperftools218() {
    { [[ -f configure ]] || autoreconf -i >&2; } &&
        CFLAGS=$flags CXXFLAGS=$flags ./configure --enable-minimal --disable-static >&2 &&
        make -j"$(nproc)" libtcmalloc_minimal.la >&2 && realpath -e .libs/libtcmalloc_minimal.so
}

# peer_build NAME VERSION SOURCES
peer_build() {
    local name=$1 version=$2 sources=$3 library
    say "$name: building $version"
    if ! library=$(cd "$sources" && "build_$name" 2>>"$into/$name.log"); then
        say "$name: the build failed; the end of $into/$name.log:"
        tail -n 5 "$into/$name.log" >&2
        return 69
    fi
    cp "$library" "$into/$name.so.new" &&
        echo "$version, $("$CC" --version | head -n1), $flags" >"$into/$name.version" &&
        mv "$into/$name.so.new" "$into/$name.so" || return
    rm -rf "${into:?}/$name"
}

peer_make() { # peer_make NAME [FOLDER]
    local name=$1 folder=${2-} package versions version
    [[ ! -e $into/$name.so || -n $folder ]] || return 0
    : >"$into/$name.log"
    if [[ -n $folder ]]; then
        rm -rf "${into:?}/$name"
        mkdir "$into/$name"
        cp -r "$folder" "$into/$name/sources"
        version="$name from a folder"
    else
        read -r _ package versions <<<"$(grep "^$name " <<<"$peers")"
        lists_fetch || return
        version=$(source_fetch "$name" "$package" "$versions") || return
        version="$package $version, Debian's sources"
    fi
    peer_build "$name" "$version" "$into/$name/sources"
}

scudo_link() {
    local library
    library=$(clang -print-resource-dir)/lib/linux/libclang_rt.scudo_standalone-$(uname -m).so
    [[ -f $library ]] || { say "scudo: $library: not there"; return 69; }
    ln -sf "$library" "$into/scudo.so"
}

asked=("$@")
((${#asked[@]})) || mapfile -t asked < <(awk '{print $1}' <<<"$peers"; echo scudo)
for one in "${asked[@]}"; do
    [[ ${one%%=*} == scudo ]] || grep -q "^${one%%=*} " <<<"$peers" ||
        { echo "$called_as: '$one': expected NAME or NAME=FOLDER; $called_as --help has the names" >&2; exit 64; }
    [[ $one != *=* || -d ${one#*=} ]] || { echo "$called_as: ${one#*=}: there is no such folder" >&2; exit 64; }
done

missing=0
for one in "${asked[@]}"; do
    [[ -e $into/${one%%=*}.so && $one != *=* ]] || missing=1
done
((missing)) || exit 0
bash "$here/setup.sh" dpkg-dev cmake autoconf automake libtool libclang-rt-dev
code=0
for one in "${asked[@]}"; do
    if [[ $one == scudo ]]; then scudo_link; else peer_make "${one%%=*}" "$([[ $one != *=* ]] || echo "${one#*=}")"; fi || code=69
done
exit $code
