#!/usr/bin/env bash
# How many instructions one event takes, step by step: unlike a time, the same whatever else the machine does. callgrind
# counts a run that does the step so many times, and one that does it three times as often; the difference is the step's.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh instructions
say "building"
program=$(cargo bench --locked --bench instructions --no-run 2>&1 | tee /dev/stderr |
    sed -nE 's/^ *Executable .*\((.*)\)$/\1/p')
[ -x "$program" ] || die "cargo did not say where it put the program"

count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -nE 's/.*Collected : ([0-9]+)$/\1/p'
}

# step NAME TIMES EVENTS: the instructions of one event, of which a time has so many.
step() {
    local once thrice
    once=$(count "$1" "$2")
    thrice=$(count "$1" $(($2 * 3)))
    printf '%-18s %6d\n' "$1" $(((thrice - once) / ($2 * 2 * $3)))
}

say "instructions an event"
step decode-structured 1000 1
step decode-bare 1000 1
step decode-output 1000 1
step seen 1000 1
step fold-1000 3 1000
step rate 1000 1
