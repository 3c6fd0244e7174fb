//! Files made by hand, for tests of the reader and the runner.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView};

/// What a test changes in the file of [`forward_file`].
pub(crate) enum Edit {
    /// Replaces or adds a metadata value.
    Meta(&'static str, &'static str),
    /// Removes a metadata value.
    NoMeta(&'static str),
    /// Replaces or adds a tensor.
    Tensor(&'static str, Vec<usize>, Vec<f32>),
    /// Removes a tensor.
    NoTensor(&'static str),
}

/// A correct `mlp.forward` file: y = W x + b with W = [[1, 2]], b = [0.5], after `edits`.
pub(crate) fn forward_file(edits: &[Edit]) -> Vec<u8> {
    let mut metadata: HashMap<String, String> = [
        ("format", "advect-golden-1"),
        ("case", "mlp.forward"),
        ("tag", "hand"),
        ("level", "core"),
        ("config", r#"{"activation": "relu", "sizes": [2, 1]}"#),
        ("tolerance", r#"{"out.y": 1e-6}"#),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let mut tensors = vec![
        ("net.0.weight", vec![1, 2], vec![1.0, 2.0]),
        ("net.0.bias", vec![1], vec![0.5]),
        ("x", vec![2, 2], vec![1.0, 1.0, 0.0, 3.0]),
        ("out.y", vec![2, 1], vec![3.5, 6.5]),
    ];
    for edit in edits {
        match edit {
            Edit::Meta(key, value) => drop(metadata.insert(key.to_string(), value.to_string())),
            Edit::NoMeta(key) => drop(metadata.remove(*key)),
            Edit::NoTensor(name) => tensors.retain(|(known, ..)| known != name),
            Edit::Tensor(name, shape, values) => {
                tensors.retain(|(known, ..)| known != name);
                tensors.push((name, shape.clone(), values.clone()));
            }
        }
    }
    serialize(&tensors, metadata)
}

fn serialize(
    tensors: &[(&str, Vec<usize>, Vec<f32>)],
    metadata: HashMap<String, String>,
) -> Vec<u8> {
    let bytes = |values: &[f32]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let data: Vec<_> = tensors
        .iter()
        .map(|(n, s, v)| (*n, s.clone(), bytes(v)))
        .collect();
    let views = data
        .iter()
        .map(|(n, s, v)| (*n, TensorView::new(Dtype::F32, s.clone(), v).unwrap()));
    safetensors::serialize(views, Some(metadata)).unwrap()
}

mod runs {
    use super::*;
    use crate::{Summary, run_dir};
    use candle_core::Device;

    /// Runs a directory that holds one file, and gives the counts and the report.
    fn run(bytes: &[u8]) -> (Summary, String) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a__b.safetensors"), bytes).unwrap();
        let mut report = Vec::new();
        let summary = run_dir(dir.path(), &Device::Cpu, &mut report).unwrap();
        (summary, String::from_utf8(report).unwrap())
    }

    fn assert_fails(bytes: &[u8], why: &str) {
        let (summary, report) = run(bytes);
        assert_eq!(
            (summary.files, summary.passed, summary.failed),
            (1, 0, 1),
            "{report}"
        );
        assert!(
            report.contains("a__b.safetensors") && report.contains("FAIL"),
            "{report}"
        );
        assert!(report.contains(why), "{report} does not contain {why}");
    }

    #[test]
    fn a_correct_file_passes_with_its_line() {
        let (summary, report) = run(&forward_file(&[]));
        assert_eq!(
            summary,
            Summary {
                files: 1,
                passed: 1,
                failed: 0
            }
        );
        assert!(
            report.contains("out.y") && report.contains(" ok\n"),
            "{report}"
        );
        assert!(report.ends_with("1 files: 1 outputs passed, 0 failed\n"));
    }

    #[test]
    fn an_error_over_tolerance_fails() {
        assert_fails(
            &forward_file(&[Edit::Tensor("out.y", vec![2, 1], vec![3.5, 6.6])]),
            "1e-6",
        );
    }

    #[test]
    fn a_truncated_or_flipped_file_fails() {
        let whole = forward_file(&[]);
        assert_fails(&whole[..whole.len() - 3], "malformed");
        assert_fails(&whole[..4], "malformed");
        assert_fails(&[], "malformed");
        let mut flipped = whole;
        flipped[3] ^= 0x40;
        assert_fails(&flipped, "malformed");
    }

    #[test]
    fn an_unknown_case_fails_and_is_named() {
        assert_fails(
            &forward_file(&[Edit::Meta("case", "mlp.backwards")]),
            "`mlp.backwards`",
        );
    }

    #[test]
    fn an_output_that_is_not_computed_fails() {
        let tolerance = Edit::Meta("tolerance", r#"{"out.y": 1e-6, "out.z": 1e-6}"#);
        let bytes = forward_file(&[tolerance, Edit::Tensor("out.z", vec![1], vec![1.0])]);
        let (summary, report) = run(&bytes);
        assert_eq!((summary.passed, summary.failed), (1, 1), "{report}");
        assert!(report.contains("FAIL: not computed"), "{report}");
    }

    #[test]
    fn a_nan_output_fails() {
        let bytes = forward_file(&[Edit::Tensor("net.0.bias", vec![1], vec![f32::NAN])]);
        assert_fails(&bytes, "is NaN at index 0");
    }

    #[test]
    fn an_output_of_another_shape_fails() {
        let bytes = forward_file(&[Edit::Tensor("out.y", vec![2], vec![3.5, 6.5])]);
        assert_fails(&bytes, "has shape [2, 1], expected [2]");
    }

    #[test]
    fn each_missing_piece_is_named() {
        assert_fails(&forward_file(&[Edit::NoTensor("x")]), "no input `x`");
        assert_fails(
            &forward_file(&[Edit::NoTensor("net.0.bias")]),
            "no input `net.0.bias`",
        );
        assert_fails(&forward_file(&[Edit::NoTensor("out.y")]), "holds no output");
        assert_fails(&forward_file(&[Edit::NoMeta("case")]), "no metadata `case`");
        assert_fails(
            &forward_file(&[Edit::NoMeta("config")]),
            "no metadata `config`",
        );
        assert_fails(
            &forward_file(&[Edit::Meta("tolerance", "{}")]),
            "no tolerance for `out.y`",
        );
        assert_fails(&forward_file(&[Edit::Meta("format", "2")]), "format `2`");
        assert_fails(
            &forward_file(&[Edit::Meta("config", r#"{"sizes": [2, 1]}"#)]),
            "`activation`",
        );
        let sizes = r#"{"activation": "relu", "sizes": [3, 1]}"#;
        assert_fails(
            &forward_file(&[Edit::Meta("config", sizes)]),
            "shape [1, 2], expected [1, 3]",
        );
    }

    #[test]
    fn a_directory_without_files_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("extra")).unwrap();
        std::fs::write(dir.path().join("extra/a__b.safetensors"), forward_file(&[])).unwrap();
        let error = run_dir(dir.path(), &Device::Cpu, &mut Vec::new()).unwrap_err();
        assert!(
            error.to_string().contains("holds no `*.safetensors` file"),
            "{error}"
        );
        let error = run_dir(&dir.path().join("absent"), &Device::Cpu, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
    }
}
