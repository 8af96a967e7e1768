#!/usr/bin/env bash
# Everything that must hold before a change lands.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh test
say "format"
cargo fmt --all --check
say "shellcheck"
shellcheck -x scripts/*.sh .ci/run
say "clippy"
cargo clippy --all-targets --locked -- -D warnings
say "licences, bans, sources"
# Offline: `cargo fetch` in the set-up has brought every crate, those of other platforms too.
"$CARGO_DENY" --offline --log-level error check --hide-inclusion-graph licenses bans sources
say "tests"
cargo test --locked -- --skip soak::
# By itself: three brokers, six Redis servers and four workers leave no time to tests that look at the clock, nor those
# to it.
say "soak, two minutes"
cargo test --locked --test it -- --nocapture soak::
