//! The worker is killed at every step that matters, and every number must be right afterwards.
//!
//! The steps are compiled in by the feature `crash-points` alone (`src/ops/crash.rs`), and so is the matrix.

#[cfg(feature = "crash-points")]
mod matrix;

use std::fs;

use crate::support::program::BINARY;

#[test]
fn the_program_has_crash_points_by_the_feature_alone() {
    let program = fs::read(BINARY).expect("cargo has built the program");
    let variable = b"INDELIBLE_CRASH";
    let has_points = program.windows(variable.len()).any(|bytes| bytes == variable);
    assert_eq!(has_points, cfg!(feature = "crash-points"));
}
