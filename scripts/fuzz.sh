#!/usr/bin/env bash
# Mutations by chance of what strangers send, by the clock: see tests/it/fuzz.rs. One target after the other, or those
# named: scripts/fuzz.sh decode. INDELIBLE_FUZZ_SECONDS=n a target.
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh check
export INDELIBLE_FUZZ_SECONDS=${INDELIBLE_FUZZ_SECONDS:-1200}
for target in "${@:-fuzz::}"; do
    cargo test --locked --features crash-points --test it -- --nocapture --test-threads=1 "fuzz::${target#fuzz::}"
done
