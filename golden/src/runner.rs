//! Runs a directory of cases and reports one line per file and output.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use crate::case::{Case, Expected};
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry;

/// How many outputs and files went which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files read, whatever came of them.
    pub files: usize,
    /// Outputs within their tolerance.
    pub passed: usize,
    /// Outputs over their tolerance, missing, misshapen or not finite; files without a result count
    /// once for every output they ask for, at least once.
    pub failed: usize,
}

/// Runs every `*.safetensors` file of `dir` (not of its subfolders) on `device` and writes the report.
///
/// # Errors
/// If the directory cannot be read or holds no such file, or the report cannot be written.
pub fn run_dir(
    dir: &Path,
    device: &Device,
    report: &mut impl Write,
) -> Result<Summary, GoldenError> {
    let mut summary = Summary::default();
    for path in case_files(dir)? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let lines = run_file(&path, device, &mut summary);
        for line in lines {
            writeln!(report, "{name:<52} {line}").map_err(GoldenError::Report)?;
        }
    }
    let Summary {
        files,
        passed,
        failed,
    } = summary;
    writeln!(
        report,
        "{files} files: {passed} outputs passed, {failed} failed"
    )
    .map_err(GoldenError::Report)?;
    Ok(summary)
}

fn case_files(dir: &Path) -> Result<Vec<PathBuf>, GoldenError> {
    let problem = |problem: String| GoldenError::Directory {
        dir: dir.to_owned(),
        problem,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| problem(e.to_string()))? {
        let path = entry.map_err(|e| problem(e.to_string()))?.path();
        if path.extension().is_some_and(|ext| ext == "safetensors") && !path.is_dir() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(problem("holds no `*.safetensors` file".into()));
    }
    files.sort();
    Ok(files)
}

/// The report lines of one file, counted into `summary`.
fn run_file(path: &Path, device: &Device, summary: &mut Summary) -> Vec<String> {
    summary.files += 1;
    let case = match Case::load(path, device) {
        Ok(case) => case,
        Err(error) => {
            summary.failed += 1;
            return vec![failure_line("-", "-", &error.to_string())];
        }
    };
    let outputs = registry::lookup(case.name()).and_then(|compute| compute_caught(compute, &case));
    compare_all(&case, &outputs, summary)
}

fn compute_caught(compute: registry::CaseFn, case: &Case) -> Result<Outputs, GoldenError> {
    catch_unwind(AssertUnwindSafe(|| compute(case))).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|s| s.to_string()));
        Err(GoldenError::Panic(
            text.unwrap_or_else(|| "no message".into()),
        ))
    })
}

fn compare_all(
    case: &Case,
    outputs: &Result<Outputs, GoldenError>,
    summary: &mut Summary,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, expected) in case.expected() {
        let verdict = match outputs {
            Ok(outputs) => compare(outputs.get(name), expected),
            Err(error) => Verdict::Failed(error.to_string()),
        };
        match verdict {
            Verdict::Passed(_) => summary.passed += 1,
            Verdict::Over(_) | Verdict::Failed(_) => summary.failed += 1,
        }
        lines.push(verdict.line(name, expected.tolerance));
    }
    lines
}

enum Verdict {
    Passed(f64),
    Over(f64),
    Failed(String),
}

impl Verdict {
    fn line(&self, output: &str, tolerance: f64) -> String {
        let output = format!("out.{output}");
        match self {
            Self::Passed(error) => format!("{output:<28} {error:.2e} {tolerance:.0e} ok"),
            Self::Over(error) => format!("{output:<28} {error:.2e} {tolerance:.0e} FAIL"),
            Self::Failed(why) => failure_line(&output, &format!("{tolerance:.0e}"), why),
        }
    }
}

fn failure_line(output: &str, tolerance: &str, why: &str) -> String {
    format!("{output:<28} - {tolerance} FAIL: {why}")
}

fn compare(found: Option<&Tensor>, expected: &Expected) -> Verdict {
    let Some(found) = found else {
        return Verdict::Failed("not computed".into());
    };
    let shape = if found.rank() == 0 {
        vec![1]
    } else {
        found.dims().to_vec()
    };
    if shape != expected.stored.shape {
        let expected = &expected.stored.shape;
        return Verdict::Failed(format!("has shape {shape:?}, expected {expected:?}"));
    }
    match values(found) {
        Err(error) => Verdict::Failed(error.to_string()),
        Ok(found) => compare_values(&found, expected),
    }
}

fn values(tensor: &Tensor) -> candle_core::Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

fn compare_values(found: &[f64], expected: &Expected) -> Verdict {
    if let Some(index) = found.iter().position(|value| !value.is_finite()) {
        return Verdict::Failed(format!("is {} at index {index}", found[index]));
    }
    let error = relative_l2(found, &expected.stored.values);
    if error <= expected.tolerance {
        Verdict::Passed(error)
    } else {
        Verdict::Over(error)
    }
}

/// ‖x − y‖₂ / max(‖y‖₂, 1e-12), accumulated in f64.
fn relative_l2(found: &[f64], expected: &[f32]) -> f64 {
    let (mut difference, mut norm) = (0.0, 0.0);
    for (x, y) in found.iter().zip(expected) {
        let y = f64::from(*y);
        difference += (x - y) * (x - y);
        norm += y * y;
    }
    difference.sqrt() / norm.sqrt().max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Stored;

    fn expected(values: &[f32]) -> Expected {
        let stored = Stored {
            shape: vec![values.len()],
            values: values.to_vec(),
        };
        Expected {
            stored,
            tolerance: 1e-4,
        }
    }

    fn verdict(found: &[f32], wanted: &[f32]) -> candle_core::Result<Verdict> {
        let found = Tensor::from_slice(found, found.len(), &Device::Cpu)?;
        Ok(compare(Some(&found), &expected(wanted)))
    }

    #[test]
    fn error_is_relative_to_the_norm_of_the_expected_values() {
        assert!((relative_l2(&[3.0, 4.5], &[3.0, 4.0]) - 0.1).abs() < 1e-15);
        assert_eq!(relative_l2(&[1e-12], &[0.0]), 1.0);
    }

    #[test]
    fn within_and_over_tolerance() -> candle_core::Result<()> {
        assert!(matches!(
            verdict(&[1.0, 2.0], &[1.0, 2.0])?,
            Verdict::Passed(0.0)
        ));
        assert!(matches!(
            verdict(&[1.0, 2.1], &[1.0, 2.0])?,
            Verdict::Over(_)
        ));
        Ok(())
    }

    #[test]
    fn nan_infinity_missing_and_other_shape_fail() -> candle_core::Result<()> {
        for bad in [f32::NAN, f32::INFINITY] {
            let Verdict::Failed(why) = verdict(&[1.0, bad], &[1.0, 2.0])? else {
                panic!("passed")
            };
            assert!(why.contains("at index 1"), "{why}");
        }
        let Verdict::Failed(why) = verdict(&[1.0], &[1.0, 2.0])? else {
            panic!("passed")
        };
        assert!(why.contains("shape [1], expected [2]"), "{why}");
        assert!(matches!(
            compare(None, &expected(&[1.0])),
            Verdict::Failed(_)
        ));
        Ok(())
    }

    #[test]
    fn a_panic_of_a_case_is_its_failure() {
        fn panics(_: &Case) -> Result<Outputs, GoldenError> {
            panic!("index out of range")
        }
        let bytes = crate::cases::tests::forward_file(&[]);
        let case = Case::parse(&bytes).unwrap();
        let error = compute_caught(panics, &case).unwrap_err();
        assert!(error.to_string().contains("index out of range"), "{error}");
    }
}
