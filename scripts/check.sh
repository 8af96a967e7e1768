#!/usr/bin/env bash
# What a developer runs all day: no server, under a minute once built.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh check
say "format"
cargo fmt --all --check
say "clippy"
cargo clippy --all-targets --locked -- -D warnings
say "unit tests"
cargo test --locked --lib --quiet
