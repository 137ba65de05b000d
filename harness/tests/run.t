# A whole run over fake allocators: what is recorded, and what is left untouched.
source "$(dirname "$0")/lib.bash"

run_matrix --dry-run
is "$rc" 0 'dry run exits 0'
like "$err" '15 processes, 3 allocators, about 2 s' 'dry run says how many and how long'
[[ ! -e $results ]]
ok $? 'dry run touches nothing'

run_matrix --test
is "$rc" 0 'test run exits 0'
is "$out" 'test: 6 processes ok' 'test run is one round'
is "$(ls -A "$work/tmp")$(ls "$results" 2>/dev/null)" '' 'test run keeps nothing'

run_matrix
is "$rc" 0 'run exits 0'
dir=$out
like "$err" '15 samples: 15 ok, 0 bad, 0 skipped$' 'run says how it went'
like "$dir" "^$results/[0-9]{8}T[0-9]{6}Z_[^_]+_[^_]+_m\$" 'folder is named after time, host, commit and matrix'
is "$(readlink "$results/latest")" "$(basename "$dir")" 'latest points to it'
is "$(ls -A "$results" | wc -l)" 2 'nothing else is left in results'

columns='run_id,seq,round,slot,cell_id,workload,params,allocator,role,lib_sha256,bin_sha256,seed,status,invalid_reason,exit_code,signal,start_utc,wall_s,work_s,cpu_user_s,cpu_sys_s,ops,ops_per_s,peak_rss_kib,post_rss_kib,idle_rss_kib,live_peak_kib,minflt,majflt,nvcsw,nivcsw,reclaim_calls,reclaim_pages,purged_pages,madvise_calls,alloc_failed,fallback_pct,actual_remote_pct,checksum,steal_ticks,psi_cpu_us,load1,live_at_fail_kib,idle_return_ms,probe_pp_ns,probe_pp_after_ns,probe_cpu_ns,probe_cpu_after_ns,probe_mem_ns,probe_mem_after_ns,instructions,rss_mib_s,peak_pss_kib,processes,cgroup_peak_kib,malloc_p50_ns,malloc_p99_ns,malloc_p999_ns,malloc_max_ns,free_p50_ns,free_p99_ns,free_p999_ns,free_max_ns,remote_free_p50_ns,remote_free_p99_ns,remote_free_p999_ns,remote_free_max_ns'
is "$(head -1 "$dir/runs.csv")" "$columns" 'runs.csv has its columns'
for column in seq round slot cell_id allocator seed params; do
    is "$(csv_column "$dir/runs.csv" $column)" "$(csv_column "$dir/plan.csv" $column)" "$column follows the plan"
done
is "$(csv_column "$dir/runs.csv" status | sort -u)" ok 'all samples are ok'
is "$(csv_column "$dir/runs.csv" ops_per_s | sort -u)" 1000000 'ops/s is ops over work time'
is "$(csv_column "$dir/runs.csv" live_peak_kib | sort -u)" 3072 'live peak is recorded'
is "$(csv_column "$dir/runs.csv" live_at_fail_kib | sort -u)" '' 'what did not happen is empty, not 0'
is "$(csv_column "$dir/runs.csv" idle_rss_kib | grep -vc '^[1-9]')" 0 'idle RSS is recorded'
is "$(csv_column "$dir/runs.csv" checksum | sort -u | wc -l)" 5 'each block has its own seed'
is "$(paste -d= <(csv_column "$dir/runs.csv" allocator) <(csv_column "$dir/runs.csv" reclaim_pages) | sort -u | paste -sd' ')" \
    'a=42 b= plain=' 'counters are those of the allocator that has some'
sha=$(sha256sum "$BUILD/tests/libhzbfake_a.so" | cut -d' ' -f1)
is "$(paste -d= <(csv_column "$dir/runs.csv" allocator) <(csv_column "$dir/runs.csv" lib_sha256) | sort -u | paste -sd' ')" \
    "a=$sha b=$(sha256sum "$BUILD/tests/libhzbfake_b.so" | cut -d' ' -f1) plain=" 'library hashes are recorded'
is "$(grep -c ',own_counter,2$' "$dir/counters.csv")" 5 'every counter of every sample is in counters.csv'
is "$(ls "$dir/rss" | wc -l) $(ls "$dir/logs" | wc -l)" '15 30' 'a curve and two logs a sample'
seq_a=$(paste -d' ' <(csv_column "$dir/runs.csv" allocator) <(csv_column "$dir/runs.csv" seq) | awk '$1 == "a" {print $2; exit}')
is "$(head -1 "$dir/rss/$seq_a.csv")" 't_ms,phase,rss_kib,live_kib,reclaim_pages,own_counter' 'a curve has the counters by name'
is "$(csv_column "$dir/rss/$seq_a.csv" phase | uniq | grep -v start | paste -sd' ')" 'work idle post' 'a curve knows the phases'
is "$(csv_column "$dir/rss/$seq_a.csv" live_kib | tail -1)" 3072 'a curve has the live bytes'
is "$(csv_column "$dir/rss/$seq_a.csv" own_counter | tail -1)" 2 'a curve has the counter values'
like "$(<"$dir/logs/1.out")" '^fake: ' 'what the program prints is kept'
is "$(perl -MJSON::PP -0ne 'my $m = decode_json($_); print join " ", $m->{matrix}, scalar @{$m->{allocators}}, $m->{allocators}[0]{sha256}, $m->{host}{cpus} > 0 ? 1 : 0' "$dir/manifest.json")" \
    "m 3 $sha 1" 'manifest.json says what and where'
builds() { perl -MJSON::PP -0ne 'print join ";", map { "$_->{name}=$_->{build}" =~ s{(?<=glibc) [\d.]+}{}r } @{decode_json($_)->{allocators}}' "$1"; }
is "$(builds "$dir/manifest.json")" 'a=lane=fake front=auto defs=-DX=1 -DY;b=;plain=glibc' \
    'manifest.json has what a library with counters says of its build'

run table "$dir"
like "$out" 'one: fake ms=60 unused=.*a +1\.00 .* 42 +3 +0.*two: fake ms=20' 'table has a line for each arm of each cell'
is "$(grep -c 'live at fail' <<< "$out") $(grep -c 'reclaim_pages' <<< "$out")" '0 2' 'what no arm of a cell has takes no column'
run table --markdown "$dir"
like "$out" '\| plain \| 1\.00 \| ' 'table speaks Markdown'
run resume "$dir" --lock "$work/lock"
is "$rc $(csv_column "$dir/runs.csv" seq | wc -l)" '0 15' 'resuming a finished run does nothing'

# Both outputs go to a reader that leaves at once.
"$hzb" run "$matrix" -o "$results" --lock "$work/lock" -w two 2>&1 | head -1 >/dev/null
rc=${PIPESTATUS[0]}
dir=$(readlink -f "$results/latest")
is "$rc $(grep -c ,ok, "$dir/runs.csv")" '0 6' 'a reader that goes away ends no run'
is "$(ls -d "$(memory_folder "$dir")" 2>&1 | grep -c 'No such')" 1 'and leaves nothing in memory'
is "$(grep -c '0\.1000000000000000' "$dir/manifest.json")$(grep -c '"fallback_max_pct": 0.1,' "$dir/manifest.json")" 01 \
    'numbers in the manifest are as people write them'

run_matrix -a '^a$' -w two -p ms=20 --rounds 1 --seed 9
is "$rc $(statuses "$out/runs.csv")" '0 a=ok' 'filters select arms, cells and parameters'
run_matrix --allocator "mine=$BUILD/tests/libhzbfake_b.so" -a 'mine|plain' -w one --rounds 1
is "$rc $(statuses "$out/runs.csv" | tr ' ' '\n' | sort | paste -sd' ')" '0 mine=ok plain=ok' '--allocator adds an arm'

write_allocators <<YAML
allocators:
  - name: plain
  - {name: b, preload: "{build}/tests/libhzbfake_b.so", stats_file_env: HZ3_STATS_FILE}
  - {name: a, inherits: b, env: [FAKE_FRONT=chosen]}
YAML
FAKE_FRONT=mine run_matrix --rounds 1 -w two
is "$rc $(builds "$out/manifest.json")" '0 a=lane=fake front=chosen defs=-DX=1 -DY;b=lane=fake front=auto defs=-DX=1 -DY;plain=glibc' \
    'which is asked under the arm'"'"'s environment, not under that of hzb'

write_allocators <<YAML
allocators:
  - name: plain
  - {name: a, preload: libhzb_is_nowhere.so.1, optional: true}
  - {name: b, preload: "{build}/no/such.so"}
YAML
run_matrix -a 'a|plain' --rounds 1 -w one
is "$rc $(statuses "$out/runs.csv" | tr ' ' '\n' | sort | paste -sd' ')" '0 a=skipped plain=ok' 'a missing optional library is recorded as skipped'
before=$(ls -A "$results")
run_matrix
is "$rc" 64 'a missing library is an error'
like "$err" "allocator 'b': library '$BUILD/no/such.so' not found" 'which names it'
is "$(ls -A "$results")" "$before" 'and leaves nothing behind'
done_testing
