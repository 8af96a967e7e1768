#!/usr/bin/env bash
# Everything that must hold before a change lands.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh test
say "format"
cargo fmt --all --check
say "shellcheck"
shellcheck -x scripts/*.sh deploy/compose/*.sh .ci/run
say "mutants that can be planted"
python3 scripts/mutants.py --check
say "alerts"
scripts/check-alerts.sh
say "clippy"
cargo clippy --all-targets --locked -- -D warnings
cargo clippy --all-targets --locked --features crash-points -- -D warnings
say "licences, bans, sources"
# Offline: `cargo fetch` in the set-up has brought every crate, those of other platforms too.
"$CARGO_DENY" --offline --log-level error check --hide-inclusion-graph licenses bans sources
say "tests"
# Most of them wait most of the time.
cargo test --locked --features crash-points -- --test-threads=4 --skip soak::
say "measurements, each of them small"
cargo test --locked --features crash-points --bench load -- --small >target/bench-small.log || {
    cat target/bench-small.log
    die "a measurement does not run; what it says stands above"
}
# By itself: three brokers, six Redis servers and four workers leave no time to tests that look at the clock, nor those
# to it.
say "soak, two minutes"
cargo test --locked --features crash-points --test it -- --nocapture soak::
say "no crash points in what ships"
# Last, so that what lies in the target folder is the program without them. A bench beside it has Cargo choose the same
# features of all dependencies as for the tests, and none of them is built twice.
cargo build --locked --bin indelible --bench instructions
export PROGRAM=${CARGO_TARGET_DIR:-target}/debug/indelible
found=$(grep -c INDELIBLE_CRASH "$PROGRAM" || true)
[ "$found" = 0 ] || die "the program has crash points although the feature crash-points is off"
scripts/check-deploy.sh
say "the API as it is described"
scripts/check-api.sh
