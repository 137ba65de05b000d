#!/usr/bin/env bash
# Every README and page is plain prose (.ci/prose says what that means), and .ci/prose finds what is not.
set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
. "$top/.ci/tap.bash"
cd "$top" || exit 1

words() { printf 'word %.0s' $(seq 2 "$1") && printf 'end.'; }

refused() { # refused NAME WANT TEXT: .ci/prose exits with 1 and prints WANT of a file with TEXT
    local out status
    printf '%s\n' "$3" >"$dir/page.md"
    out=$(perl .ci/prose "$dir/page.md" 2>&1)
    status=$?
    [ $status -eq 1 ] && [[ $out == *"$2"* ]]
    report $? "$1" "exit $status, wanted $2 in: $out"
}

accepted() { # accepted NAME TEXT
    local out
    printf '%s\n' "$2" >"$dir/page.md"
    out=$(perl .ci/prose "$dir/page.md" 2>&1)
    report $? "$1" "$out"
}

short='This one is short.'
refused 'a sentence of 36 words is found, by its line' 'page.md:3: 36 words' "$short $short"$'\n\n'"$(words 36)"
refused 'over a line break, where it begins' 'page.md:2: 36 words' "$short"$'\n'"$(words 20 | tr -d .)"$'\n'"$(words 16)"
refused 'in an item of a list' '36 words' "- $short"$'\n'"  $(words 36)"
refused 'in a cell of a table' '40 words' "| a | b |"$'\n'"|---|---|"$'\n'"| $(words 3) | $(words 40) |"
refused 'a colon does not end it' '40 words' "$(words 20 | tr . :) $(words 20)"
refused 'the text of a link counts' '36 words' "[$(words 18 | tr -d .)](other.md) $(words 18)"
refused 'a median above 20 words is found' 'median sentence has 21 words' "$(words 21) $(words 21) $short"
refused 'so is a distributive "a"' 'one line a file' "It prints one line a file."
refused 'and "in vain"' 'in vain' "It may be searched in vain."
accepted 'a sentence of 35 words may stand' "$short $short $(words 35)"
accepted 'code, headings and comments do not count' "# $(words 40)

    $(words 40)

\`\`\`
$(words 40)
\`\`\`
<!-- $(words 40) -->
$short \`$(words 40)\`"
accepted 'short cells beside each other are no sentence' "| $(words 12 | tr -d .) | $(words 12 | tr -d .) | $(words 12) |"
accepted 'an abbreviation ends none, a question and a quote do' "$(words 20) (e.g. this) \"$(words 20)\" $short $short $short"

while IFS= read -r -d '' file; do
    out=$(perl .ci/prose "$file")
    report $? "$file" "$out"
done < <(git ls-files -z '*.md' ':!results/reviews')
done_testing
