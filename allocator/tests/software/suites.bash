# The suites that software.sh runs. For suite X:
#     X_fetch     in an empty folder: gets the sources, and builds what Debian does not ship
#     X_units     one unit a word: a file of the suite
#     X_probe     runs the program under test once, to see that the library is in it
#     X_run UNIT  in the fetched folder: writes "test<TAB>result" lines
# `under` runs a program with the library at hand; $unit_s is the time a unit may take.

redis_units="unit/type/list unit/type/list-2 unit/type/hash unit/type/zset unit/type/set unit/type/string
    unit/type/stream unit/type/stream-cgroups unit/type/incr unit/bitops unit/bitfield unit/scripting unit/functions
    unit/sort unit/scan unit/keyspace unit/expire unit/dump unit/multi unit/pubsub unit/querybuf unit/lazyfree
    unit/tracking unit/acl unit/info unit/introspection integration/rdb"
redis_fetch() {
    fetch_source redis || return 1
    local program
    for program in redis-server redis-cli redis-benchmark redis-check-aof redis-check-rdb; do
        ln -sf "$(command -v "$program")" "redis/src/$program" || return 1
    done
}
redis_probe() { under redis-server --version; }
redis_run() {
    cd redis || return 1
    under ./runtest --single "$1" --clients 1 --baseport $((20000 + RANDOM / 4)) --portcount 200 |
        perl -ne 's/\x1b\[[0-9;]*m//g; print "$2\t$1\n" if /^\[(ok|err|ignore|exception)\]: (.*?)( \(\d+ ms\))?$/'
}

# Not malloc*: they fail every malloc in turn, and sqlite, which asks for usable sizes, makes a few less with hz3, so that
# the names differ. thread002 writes dots before the names.
sqlite_units="select1 select4 insert insert4 update delete index join where where9 subquery trigger1 trigger2 view
    alter autoinc blob btree01 cast check collate1 collate4 conflict corrupt date distinct expr fkey2 fts3aa fts3ab
    func in json101 like memdb memsubsys1 minmax pager1 pragma rowid savepoint schema sort sort2
    tempdb thread001 thread002 trans triggerA types vacuum vtab1 wal wal2 window1 with1 without_rowid1"
sqlite_fetch() {
    fetch_source sqlite3 && mkdir sqlite3/build && cd sqlite3/build && ../configure -q --disable-shared CFLAGS=-O1 &&
        make -s testfixture
}
sqlite_probe() { echo exit > probe.test && under sqlite3/build/testfixture probe.test; }
sqlite_run() {
    local folder
    folder=$(mktemp -d) && cd "$folder" || return 1
    under "$fetched/sqlite3/build/testfixture" "$fetched/sqlite3/test/$1.test" --verbose=1 2>&1 | perl -ne '
        s/^\.+//;
        print "$1\tok\n" if /^(\S+)\.\.\. Ok$/;
        print "$1\tfailed\n" if /^! (\S+) (?:expected|got)/ && !$failed{$1}++;
        print "$1\tomitted\n" if /^(\S+)\.\.\. Omitted$/;
        print "errors\t$1 of $2\n" if /^(\d+) errors out of (\d+) tests/'
    rm -rf "$folder"
}

# Not test_threading: its daemon threads spin for a quarter of an hour, with glibc too, on a machine that is busy.
python_units="test_list test_dict test_set test_tuple test_bytes test_unicode test_array test_deque
    test_heapq test_memoryview test_struct test_json test_re test_gc test_weakref test_copy test_pickle
    test_generators test_io test_zlib test_bz2 test_lzma test_hashlib test_thread"
python_fetch() {
    apt-get download -qq libpython3.11-testsuite && dpkg -x libpython3.11-testsuite_*.deb . &&
        cp -rn /usr/lib/python3.11/test usr/lib/python3.11/
}
python_probe() { under /usr/bin/python3.11 -c ''; }
python_run() {
    local folder
    folder=$(mktemp -d) || return 1
    # Its own small-object allocator would take most calls.
    PYTHONMALLOC=malloc PYTHONPATH=$fetched/usr/lib/python3.11 under /usr/bin/python3.11 -m test -q \
        --tempdir "$folder" --junit-xml "$folder/results.xml" "$1" > "$folder/log" 2>&1
    /usr/bin/python3.11 -c '
import sys, xml.etree.ElementTree as tree
for case in tree.parse(sys.argv[1]).iter("testcase"):
    bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
    print(case.get("name"), bad[0] if bad else case.get("result"), sep="\t")' "$folder/results.xml" ||
        printf '%s\tno results: %s\n' "$1" "$(tail -n 1 "$folder/log")"
    rm -rf "$folder"
}

perl_units="op/array op/hash op/push op/splice op/sort op/split op/join op/sprintf op/sprintf2 op/pack op/substr
    op/tr op/chop op/lc op/index op/repeat op/reverse op/range op/closure op/local op/my op/ref op/tie op/tiehandle
    op/undef op/vec op/ver op/heredoc op/eval op/die op/fork op/utf8decode op/utfhash op/lex_assign op/method
    op/goto op/each op/delete op/grep op/list op/magic op/threads op/state op/sub op/inc re/pat re/pat_advanced
    re/regexp re/subst re/reg_mesg re/qr re/charset re/reg_eval re/rxcode uni/lower uni/sprintf uni/variables
    io/open io/print io/utf8 io/perlio mro/basic comp/parser"
perl_fetch() {
    fetch_source perl || return 1
    # The tests read ../lib: the installed perl's modules, not those of a perl that was never built.
    rm -rf perl/lib && mkdir perl/lib || return 1
    local folder
    for folder in /usr/share/perl/5.36 /usr/lib/x86_64-linux-gnu/perl/5.36 /usr/lib/x86_64-linux-gnu/perl-base; do
        cp -rsf "$(realpath "$folder")/." perl/lib/ || return 1
    done
}
perl_probe() { under perl -e 1; }
tap_results() {
    # Names hold addresses, and files named after the process.
    perl -ne 'if (/^(not )?ok (\d+)(?: -? ?(.*))?$/) { my ($bad, $n, $name) = ($1, $2, $3 // ""); $name =~ s/[\t\r]/ /g;
        $name =~ s/\b(?:0x)?[0-9a-f]{8,16}\b/ADDRESS/g; $name =~ s/\btmp_[A-Z]+_/tmp_PID_/g;
        print "$n $name\t", ($bad ? "not ok" : "ok"), "\n" }'
}
perl_run() {
    cd perl/t && under perl "$1.t" 2> /dev/null | tap_results
}

git_units="t0001-init t3700-add t4001-diff-rename t5302-pack-index t1006-cat-file t7810-grep t8002-blame
    t1300-config t3903-stash t6300-for-each-ref t5300-pack-object t7600-merge t9300-fast-import"
git_fetch() {
    fetch_source git && make -s -C git NO_CURL=1 NO_EXPAT=1 NO_GETTEXT=1 NO_TCLTK=1 NO_OPENSSL=1 CFLAGS=-O1 \
        GIT-BUILD-OPTIONS t/helper/test-tool && make -s -C git/templates
}
git_probe() { under git version; }
git_run() {
    cd git/t || return 1
    # Without TEST_NO_MALLOC_CHECK the suite preloads a library of its own.
    TEST_NO_MALLOC_CHECK=1 GIT_TEST_INSTALLED=$(git --exec-path) under bash "$1.sh" --root="$scratch" 2> /dev/null |
        tap_results
}
