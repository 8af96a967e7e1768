#!/usr/bin/env bash
# How fast it is, held against what librdkafka and Redis can do in the same run: a table, and the same as JSON in
# target/bench/bench.json. Arguments are rows of it (none: all, about ten minutes on two cores) and options; --help
# lists both. Nothing else should run meanwhile: all share the cores.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh test
say "building"
cargo bench --locked --bench load --no-run
say "measuring"
cargo bench --quiet --locked --bench load -- --json "$ROOT/target/bench/bench.json" "$@"
