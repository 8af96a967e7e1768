#!/usr/bin/env bash
# Workers under load while everything around them breaks, for ten minutes unless told otherwise; then every number
# is held to the log. Ends with the verdict, and with an error if it is not "exact".
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

scripts/setup.sh test
say "soak"
export INDELIBLE_SOAK_SECONDS=${INDELIBLE_SOAK_SECONDS:-600}
exec cargo test --locked --test it -- --nocapture soak::
