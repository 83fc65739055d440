#!/usr/bin/env bash
# The tests of all that goes over memory by pointers, where memory is watched: for every instruction set that this
# processor has on memory that ends at a fence (src/testing), then under valgrind, which watches both ends and what was
# never written, but knows no AVX-512. Says what was run on which. Exits non-zero on a finding.
# Usage: tests/sanitize.sh   CARGO=cargo, PROPTEST_CASES=n cases of a property (as many as in `make test`; 8 under valgrind).
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
if ! command -v valgrind >/dev/null; then
    echo "make sanitize wants valgrind, and there is none: apt-get install valgrind, or dnf install valgrind" >&2
    exit 1
fi
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# Vectors lie where they like: a load that is partly outside is an error however it is aligned. Wide zones around what
# is on the heap catch what goes wrong by a row and not by a number.
valgrind='valgrind --quiet --error-exitcode=1 --partial-loads-ok=no --redzone-size=1024'
under_valgrind=(--config "target.'cfg(all())'.runner = '$valgrind'")
crates=(-p rollcall-testing -p rollcall-nn -p rollcall-gallery -p rollcall-vision)
modules=(fenced:: kernels:: products:: codes:: column:: lanes::)

# The instruction sets that the kernels see, with cargo's options as arguments.
instruction_sets() {
    "$cargo" "$@" test --quiet -p rollcall-nn --lib -- --exact kernels::tests::says_what_it_runs_on --nocapture |
        sed -n 's/.*instruction sets: //p'
}

run_tests() {
    "$cargo" "$@" test "${crates[@]}" --lib -- --test-threads=1 "${modules[@]}" | tee "$output"
    if grep -q '^running 0 tests' "$output"; then
        echo "a crate has no such tests any more: see the modules in $0" >&2
        return 1
    fi
}

# Whether the instruction set $1 is among those of $2.
was_run() {
    case " $2 " in *" $1 "*) echo run ;; *) echo "NOT RUN" ;; esac
}

# A watch that sees nothing would find nothing: of fences a test of their own says that they bite.
sees_the_planted() {
    { "$cargo" "${under_valgrind[@]}" test --quiet -p rollcall-testing --lib -- --ignored goes_one_too_far || true; } \
        > "$output" 2>&1
    grep -q 'Invalid read' "$output" || { cat "$output" >&2; return 1; }
}

sees_the_planted
fenced=$(instruction_sets)
echo "== memory that ends at fences: $fenced"
run_tests
watched=$(instruction_sets "${under_valgrind[@]}")
echo "== under valgrind: $watched"
PROPTEST_CASES=${PROPTEST_CASES:-8} run_tests "${under_valgrind[@]}"

echo "== what was run; what was not is lacking in this processor, or unknown to valgrind"
for set in avx512bf16 avx512 avx2 portable; do
    printf '%-11s fences: %-8s valgrind: %s\n' "$set" "$(was_run "$set" "$fenced")" "$(was_run "$set" "$watched")"
done
