#!/usr/bin/env bash
# Builds the program and runs its demo. Arguments go to `indelible demo`.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh demo
say "building (the first time takes a few minutes)"
cargo build --locked --bin indelible
exec "${CARGO_TARGET_DIR:-target}/debug/indelible" demo "$@"
