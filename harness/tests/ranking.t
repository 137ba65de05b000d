# The ranking of a matrix: ratios to the best allocator of each cell, their geometric mean and the rank.
source "$(dirname "$0")/lib.bash"
top=$(cd "$(dirname "$0")/../.." && pwd)

sed -i 's/^arms:/ranking: [ops_per_s, peak_rss_kib]\n&/' "$matrix"
run_matrix
dir=$out

set_figures ops_per_s one/plain=1000000 one/a=2000000 one/b=1600000 two/plain=4000000 two/a=1000000 two/b=
set_figures peak_rss_kib one/plain=1000 one/a=1500 one/b=3000 two/plain=1000 two/a=1000 two/b=4000

run table "$dir"
like "$(tr -s ' ' <<<"$out")" 'Time relative to the best allocator of each cell \(1\.00\):
 cell a b plain
 one 1\.00 1\.25 2\.00
 two 4\.00 - 1\.00
 geometric mean of the 1 that all have 1\.00 1\.25 2\.00
 rank 1 2 3' 'a rate is ranked as time, over the cells that all arms have'
like "$(tr -s ' ' <<<"$out")" 'Peak RSS relative to the best allocator of each cell \(1\.00\):
 cell a b plain
 one 1\.50 3\.00 1\.00
 two 1\.00 4\.00 1\.00
 geometric mean 1\.22 3\.46 1\.00
 rank 2 3 1' 'less memory is better'
run table --markdown "$dir"
like "$out" '\| one \| \*\*1\.00\*\* \| 1\.25 \| 2\.00 \|' 'in Markdown the best one is marked'
run report "$dir" --scripts "$top/plots"
is "$rc" 0 'the report has it, too'
like "$(<"$dir/report.html")" 'a is 1st of 3 in time: in the geometric mean 1\.00 times .* a is 2nd of 3 in peak RSS' \
    'and begins with the place of each candidate'
like "$(<"$dir/report.html")" '<h2 id="ranking">.*<td>3\.46</td>' 'and has the tables'
like "$(<"$dir/report.md")" 'Peak RSS relative to .*\| geometric mean \| 1\.22 \| 3\.46 \| 1\.00 \|' 'and so has report.md'
set_figures ops_per_s one/plain= one/a= one/b= two/plain= two/a= two/b=
run table "$dir"
is "$rc" 0 'without any figure there is no ranking'
[[ $out != *Time* && $out == Peak* ]]
ok $? 'and no heading of one'
set_figures ops_per_s one/plain=0 one/a=0 one/b=5
run table "$dir"
like "$(tr -s ' ' <<<"$out")" ' one - 1\.00 -' 'nothing is a ratio to a zero'

sed -i 's/^ranking:.*/ranking: [ops_per_s, wall_s]/' "$matrix"
run plan "$matrix"
is "$rc" 64 'what no workload is judged by cannot be ranked'
like "$err" "m.yaml:[0-9]*:.*ranking 'wall_s': no cell's workload has this metric" 'and the message says where it stands'
done_testing
