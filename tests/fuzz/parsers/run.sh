#!/usr/bin/env bash
# Gives every parser what libFuzzer thinks of, from the inputs that are kept of it in corpus/: it stops at the first that
# fails. What it finds goes to target/fuzz/, and what is kept stays as it is.
# Usage: tests/fuzz/parsers/run.sh [TARGET…]   all targets if none is named; FUZZ_SECONDS=n for each (60).
#        tests/fuzz/parsers/run.sh --keep [TARGET…]   takes what was found into corpus/, as few inputs as reach as much.
set -euo pipefail

cd "$(dirname "$0")"
work=$(realpath -m "${CARGO_TARGET_DIR:-../../../target}")/fuzz
# The sanitizers are left out: there is no unsafe code in a parser of ours, and without them it runs twice as fast.
fuzz() { cargo +nightly fuzz "$1" --fuzz-dir . --target-dir "$work" --sanitizer none "${@:2}"; }

keep=
if [ "${1:-}" = --keep ]; then keep=1; shift; fi
targets=("$@")
if [ $# -eq 0 ]; then targets=($(basename -s .rs src/bin/*.rs)); fi

# What is fuzzed is of the versions that are served.
cp ../../../Cargo.lock Cargo.lock
fuzz build
for target in "${targets[@]}"; do
    found=$work/corpus/$target
    crash=$work/crashes/$target
    mkdir -p "corpus/$target" "$found" "$crash"
    if [ "$keep" ]; then
        kept=$work/kept/$target
        rm -rf "$kept" && mkdir -p "$kept"
        # Which code an input reaches counts, not how often: that would keep ten times as many.
        fuzz run "$target" "$kept" "corpus/$target" "$found" -- -set_cover_merge=1 -use_counters=0 -max_len=4096
        rm -r "corpus/$target" && mv "$kept" "corpus/$target"
        continue
    fi
    echo "== $target"
    fuzz run "$target" "$found" "corpus/$target" -- -max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -timeout=10 \
        -rss_limit_mb=2048 -artifact_prefix="$crash/" -print_final_stats=1 2> "$work/$target.log" || {
        tail -n 40 "$work/$target.log"
        input=$(sed -n 's/.*Test unit written to //p' "$work/$target.log" | tail -n 1)
        echo "== $target fails: tests/fuzz/parsers/run.sh does it again with what it found, and so does"
        echo "   $work/x86_64-unknown-linux-gnu/release/$target $input"
        exit 1
    }
    grep -E "^stat::number_of_executed_units|^stat::new_units_added" "$work/$target.log"
done
