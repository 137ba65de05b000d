# contrib/tables: the tables in a page are those that hzb prints of the folder they came from.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)
tables=$top/harness/contrib/tables

sed -i 's/^arms:/ranking: [ops_per_s]\n&/' "$matrix"
run_matrix
dir=$out
set_figures ops_per_s one/plain=1000000 one/a=2000000 one/b=1600000 two/plain=4000000 two/a=1000000 two/b=2000000
printf '%s\n' before "<!-- hzb table --markdown --metric ops_per_s $dir -->" '<!-- /hzb -->' after >"$work/page.md"
"$tables" --check "$work/page.md" >"$work/said"
is "$?" 1 'a table that is not there is missed'
like "$(<"$work/said")" "page.md:2: not what hzb table .* prints" 'and its place is named'
"$tables" "$work/page.md"
is "$?" 0 'it is written'
"$tables" --check "$work/page.md"
is "$?" 0 'and then it is right'
like "$(<"$work/page.md")" '^before.*\| one \| \*\*1.00\*\* \| 1.25 \| 2.00 \|.*after$' 'between what the page had'
set_figures ops_per_s one/b=1000000
"$tables" --check "$work/page.md" >/dev/null
is "$?" 1 'another record makes another table'
sed -i '/hzb -->/d' "$work/page.md"
printf '%s\n' "<!-- hzb table $dir -->" >>"$work/page.md"
run_tables=$("$tables" "$work/page.md" 2>&1)
like "$? $run_tables" '^[1-9][0-9]* .*a table without its end' 'an end that is missing is an error'
run table --metric no_such "$dir"
is "$rc" 64 'a ranking needs a column'
like "$err" "metric 'no_such': no cell of .* has figures of that column" 'and that is said'

mapfile -t pages < <(cd "$top" && git grep -lE '^<!-- hzb (table|claims|export) ' -- '*.md')
for page in "${pages[@]}"; do
    (cd "$top" && "$tables" --check "$page")
    ok $? "$page shows what hzb prints"
done
done_testing
