#!/usr/bin/env bash
# The crash matrix in full: kills the worker at each step that matters, INDELIBLE_CRASH_TIMES (20) times each, and
# holds every number to the oracle after each. INDELIBLE_SEED=n chooses the same passes again.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export INDELIBLE_CRASH_TIMES=${INDELIBLE_CRASH_TIMES:-20}

scripts/setup.sh test
say "crash matrix, $INDELIBLE_CRASH_TIMES times each (ten minutes for 20)"
log=target/faults.log
ended=well
# Most of the time of a crash is waiting: for the group, for watermarks to move along.
cargo test --locked --features crash-points --test it -- crash::matrix:: --nocapture --test-threads=4 >"$log" || ended=badly
[ "$ended" = well ] || cat "$log" >&2
awk '
    BEGIN { row = "%-20s %8s %8s %8s\n"; printf row, "killed at", "times", "equal", "seconds" }
    /^crash point [a-z_]+: crashed / { sub(":", "", $3); printf row, $3, $5, $7, $9; points++; bad += $5 != $7 }
    END { exit points < 9 || bad > 0 }
' "$log" || ended=badly
[ "$ended" = well ] || die "not every crash ended with equal numbers; what happened stands above, and in $log"
