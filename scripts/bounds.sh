#!/usr/bin/env bash
# What must stay within bounds, at full size, and what each was: memory of a seen id, of a backlog of five million
# records, of a million names; how long a quiet tenant waits beside a hot one. About 20 minutes and 12 GB of disk.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh test
say "building"
cargo test --locked --release --test it --no-run
say "bounds"
INDELIBLE_BOUNDS=large cargo test --locked --release --test it -- bounds:: --nocapture --test-threads=1
