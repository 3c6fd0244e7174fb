//! Runs the reference cases of the directory that `ADVECT_GOLDEN` names.

use std::path::Path;

#[test]
fn every_case_of_the_directory_passes() {
    let Some(dir) = std::env::var_os("ADVECT_GOLDEN") else {
        eprintln!("skipped: ADVECT_GOLDEN names no directory of reference cases");
        return;
    };
    let mut report = Vec::new();
    let summary = advect_golden::run_dir(Path::new(&dir), &candle_core::Device::Cpu, &mut report)
        .expect("the directory runs");
    let report = String::from_utf8_lossy(&report);
    assert_eq!(summary.failed, 0, "{report}");
    assert!(summary.passed > 0, "{report}");
}
