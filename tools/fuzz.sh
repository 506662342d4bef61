#!/bin/bash
# usage: tools/fuzz.sh TIME|COUNTx [PACKAGE...]
# Runs every fuzz target there is for this long or with so many inputs, one after
# the other, and says of each how many inputs it tried. A new target is found by
# its name.
set -euo pipefail
time=$1
shift
failed=0
while IFS=: read -r file target; do
	package=$(dirname "$file")
	if [ $# -gt 0 ] && [[ " $* " != *" $package "* ]]; then continue; fi
	# Where the time is up while an input is under way, the fuzzer may call that a
	# failure; one that it means names the input (https://go.dev/issue/75804).
	if out=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 50x -parallel "${FUZZ_PARALLEL:-1}" "$package" 2>&1) ||
		{ [[ $out == *"context deadline exceeded"* ]] && [[ $out != *"Failing input"* && $out != *panic* ]]; }; then
		tried=$(grep -o 'execs: [0-9]*' <<<"$out" | tail -1)
		printf '%-24s %-14s %s\n' "$package" "$target" "${tried:-execs: ?}"
	else
		failed=1
		printf '%-24s %-14s FAILED\n%s\n' "$package" "$target" "$out"
	fi
done < <(grep -rHo --include='*_test.go' --exclude-dir=.cache '^func Fuzz[A-Za-z0-9_]*' . | sed 's/func //' | sort)
exit $failed
