#!/usr/bin/env bash
# The diagrams in the pages and the SVGs beside their sources are what the sources give: `make diagrams` was run.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
. "$top/.ci/tap.bash"
cd "$top" || exit 1

command -v graph-easy >/dev/null || { echo "1..0 # SKIP graph-easy is missing (Debian package libgraph-easy-perl)"; exit 0; }

for graph in plots/diagrams/*.graph; do
    svg=${graph%.graph}.svg
    said=$(perl plots/diagrams/draw svg "$graph" 2>&1 | diff - "$svg" 2>&1)
    report $? "$svg is drawn from its source" "$said"
    name=$(basename "$graph" .graph)
    git grep -q "^<!-- diagram $name -->$" -- '*.md'
    report $? "some page shows $name" "no marker '<!-- diagram $name -->' in a page"
done
for page in $(git grep -l '^<!-- diagram ' -- '*.md'); do
    cp "$page" "$dir/page.md"
    perl plots/diagrams/draw insert "$dir/page.md"
    said=$(diff "$page" "$dir/page.md")
    report $? "$page shows what the sources give" "$said"
done

sed 's/claim/grab/' plots/diagrams/life_of_a_page.graph >"$dir/life_of_a_page.graph"
! perl plots/diagrams/draw svg "$dir/life_of_a_page.graph" | diff -q - plots/diagrams/life_of_a_page.svg >/dev/null
report $? "another source gives another picture"
done_testing
