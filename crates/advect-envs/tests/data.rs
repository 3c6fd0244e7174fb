//! Files of transitions: foreign layouts, round trips, damage and hostile sizes.
//!
//! The files in `tests/data_files` come from `scripts/data_fixtures.py`.
#![cfg(feature = "datasets")]
#![allow(clippy::unwrap_used, reason = "a failed test")]

use std::path::{Path, PathBuf};

use advect_envs::ImageShape;
use advect_envs::data::{Builder, DataError, Dataset, read_robomimic};
use hdf5_pure::FileBuilder;
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data_files")
        .join(name)
}

fn counting(start: f32, count: usize) -> Vec<f32> {
    (0..count).map(|i| start + i as f32).collect()
}

fn lengths(dataset: &Dataset) -> Vec<usize> {
    dataset
        .episodes
        .iter()
        .map(ExactSizeIterator::len)
        .collect()
}

#[test]
fn d4rl_without_next_observations_takes_the_next_row() {
    let dataset = Dataset::read(&fixture("d4rl.hdf5")).unwrap();
    assert_eq!((dataset.obs_dim, dataset.act_dim), (3, 2));
    // the last step was cut off, and what came after it was not recorded
    assert_eq!(lengths(&dataset), [4, 2]);
    assert_eq!(dataset.obs, counting(0.0, 18));
    assert_eq!(dataset.act, counting(100.0, 12));
    assert_eq!(dataset.reward, counting(1000.0, 6));
    let terminated = [false, false, false, true, false, false];
    assert_eq!(dataset.terminated, terminated);
    assert_eq!(dataset.next_obs[..9], counting(3.0, 9));
    assert_eq!(dataset.next_obs[12..], counting(15.0, 6));
}

#[test]
fn minari_has_the_true_last_observations_and_goals() {
    let dataset = Dataset::read(&fixture("minari.hdf5")).unwrap();
    assert_eq!(dataset.env.as_deref(), Some("Counting-v0"));
    assert_eq!((dataset.obs_dim, dataset.act_dim), (5, 2));
    // episodes 0, 2 and 10: by number, not by name
    assert_eq!(lengths(&dataset), [3, 1, 2]);
    let terminated = [false, false, true, false, false, false];
    assert_eq!(dataset.terminated, terminated);
    assert_eq!(dataset.obs[..5], [0.0, 1.0, 2.0, 500.0, 700.0]);
    assert_eq!(dataset.next_obs[..5], [3.0, 4.0, 5.0, 501.0, 701.0]);
    let last = [10_006.0, 10_007.0, 10_008.0, 10_502.0, 10_702.0];
    assert_eq!(dataset.next_obs[25..], last);
    assert_eq!(dataset.returns(), [3003.0, 1000.0, 2001.0]);
}

#[test]
fn robomimic_joins_low_dimensional_observations_or_the_keys_named() {
    let all = Dataset::read(&fixture("robomimic.hdf5")).unwrap();
    assert_eq!((all.obs_dim, all.act_dim), (5, 2));
    assert_eq!(lengths(&all), [2, 3]);
    // alphabetical: object, then robot0_eef_pos; no picture
    assert_eq!(all.obs[..5], [50.0, 51.0, 0.0, 1.0, 2.0]);
    assert_eq!(all.next_obs[5..10], [62.0, 63.0, 13.0, 14.0, 15.0]);
    let one = read_robomimic(&fixture("robomimic.hdf5"), &["robot0_eef_pos"]).unwrap();
    assert_eq!(one.obs_dim, 3);
    let error = read_robomimic(&fixture("robomimic.hdf5"), &["force"]).unwrap_err();
    assert!(
        error.to_string().contains("data/demo_0/obs/force"),
        "{error}"
    );
}

#[test]
fn ogbench_ends_are_cuts() {
    let dataset = Dataset::read(&fixture("ogbench.npz")).unwrap();
    assert_eq!(lengths(&dataset), [2, 2]);
    assert_eq!(dataset.obs[6..9], [9.0, 10.0, 11.0]);
    assert_eq!(dataset.next_obs[6..9], [12.0, 13.0, 14.0]);
    assert!(dataset.terminated.iter().all(|terminated| !terminated));
    assert_eq!(dataset.reward, [0.0; 4]);
}

/// Episodes of the given lengths; every second one terminates.
fn recorded(lengths: &[usize], obs_dim: usize, act_dim: usize) -> Dataset {
    let mut builder = Builder::new("Sums-v0", obs_dim, act_dim);
    let mut number = 0.0_f32;
    for (episode, length) in lengths.iter().enumerate() {
        for step in 0..*length {
            number += 0.37;
            let obs = counting(number, obs_dim);
            let next = counting(number.sin(), obs_dim);
            let act = counting(-number, act_dim);
            let terminated = episode % 2 == 0 && step + 1 == *length;
            builder.push(&obs, &act, number.cos(), &next, terminated);
        }
        builder.end_episode();
    }
    builder.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_written_is_read(lengths in prop::collection::vec(1usize..40, 1..12), obs in 1usize..6, act in 1usize..4) {
        let dataset = recorded(&lengths, obs, act);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.hdf5");
        dataset.write(&path).unwrap();
        prop_assert_eq!(Dataset::read(&path).unwrap(), dataset);
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        prop_assert_eq!(left.len(), 1, "something beside the file is left");
    }

    /// A flipped bit is found, or it changed nothing but numbers: never a panic, never a long allocation.
    #[test]
    fn a_flipped_bit_never_panics(at in 0.0..1.0_f64, bit in 0u8..8, which in 0usize..4) {
        let name = ["d4rl.hdf5", "minari.hdf5", "robomimic.hdf5", "ogbench.npz"][which];
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        let index = (at * bytes.len() as f64) as usize;
        bytes[index] ^= 1 << bit;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let _ = Dataset::read(&path);
    }
}

#[test]
fn a_truncated_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["d4rl.hdf5", "minari.hdf5", "robomimic.hdf5", "ogbench.npz"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        for part in 0..16 {
            std::fs::write(&path, &bytes[..bytes.len() * part / 16]).unwrap();
            let error = Dataset::read(&path).unwrap_err().to_string();
            assert!(error.contains(name), "{part}/16: {error}");
        }
    }
}

/// Writes a file with `build` and returns what reading it says.
fn error_of(build: impl FnOnce(&mut FileBuilder)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.hdf5");
    let mut file = FileBuilder::new();
    build(&mut file);
    file.write(&path).unwrap();
    Dataset::read(&path).unwrap_err().to_string()
}

/// Columns of four transitions, the last one cut off.
fn columns(file: &mut FileBuilder, skip: &str, reward: f32) {
    let wide = [("observations", 3), ("actions", 2)];
    for (name, width) in wide.into_iter().filter(|(name, _)| *name != skip) {
        file.create_dataset(name)
            .with_f32_data(&counting(0.0, 4 * width))
            .with_shape(&[4, width as u64]);
    }
    if skip != "rewards" {
        file.create_dataset("rewards")
            .with_f32_data(&[0.0, reward, 0.0, 0.0]);
    }
    file.create_dataset("terminals").with_u8_data(&[0; 4]);
    if skip != "timeouts" {
        file.create_dataset("timeouts").with_u8_data(&[0, 0, 0, 1]);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let cases = [
        (error_of(|file| columns(file, "actions", 0.0)), "`actions`"),
        (error_of(|file| columns(file, "rewards", 0.0)), "`rewards`"),
        (
            error_of(|file| columns(file, "timeouts", 0.0)),
            "no episode has an end",
        ),
        (error_of(|file| columns(file, "", f32::NAN)), "`rewards` of"),
        (
            error_of(|file| {
                file.create_dataset("weights").with_f32_data(&[1.0]);
            }),
            "it has: weights",
        ),
    ];
    for (message, part) in cases {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
    let short = error_of(|file| {
        columns(file, "rewards", 0.0);
        file.create_dataset("rewards").with_f32_data(&[0.0; 3]);
    });
    assert!(short.contains("3 rows where 4 are expected"), "{short}");
}

#[test]
fn a_number_that_is_not_finite_says_where() {
    let mut dataset = recorded(&[3, 2], 2, 1);
    dataset.obs[7] = f32::INFINITY;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.hdf5");
    dataset.write(&path).unwrap();
    match Dataset::read(&path) {
        Err(DataError::NonFinite {
            entry,
            transition,
            index,
            ..
        }) => assert_eq!((entry.as_str(), transition, index), ("observations", 3, 1)),
        other => panic!("{other:?}"),
    }
}

/// A header that claims terabytes is refused before anything is allocated for it.
#[test]
fn a_claim_beyond_the_file_is_refused() {
    let header = |shape: &str| {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let length = (text.len() as u16).to_le_bytes();
        [
            b"\x93NUMPY\x01\x00".as_slice(),
            &length,
            text.as_bytes(),
            &[0; 64],
        ]
        .concat()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claim.npz");
    for shape in ["(1099511627776, 3)", "(18446744073709551615, 2)"] {
        let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file("observations.npy", options).unwrap();
        std::io::Write::write_all(&mut archive, &header(shape)).unwrap();
        archive.finish().unwrap();
        let error = Dataset::read(&path).unwrap_err().to_string();
        assert!(error.contains("observations"), "{error}");
    }
}

#[test]
fn statistics_are_those_of_the_numbers() {
    let mut builder = Builder::new("Two-v0", 1, 1);
    builder.push(&[1.0], &[-1.0], 2.0, &[3.0], false);
    builder.push(&[3.0], &[1.0], 4.0, &[5.0], true);
    builder.push(&[5.0], &[0.0], -1.0, &[7.0], false);
    let stats = builder.finish().stats();
    assert_eq!(
        (stats.transitions, stats.episodes, stats.terminated),
        (3, 2, 1)
    );
    assert_eq!((stats.returns.low, stats.returns.high), (-1.0, 6.0));
    assert_eq!((stats.obs[0].mean, stats.act[0].mean), (3.0, 0.0));
    assert!((stats.obs[0].std - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    let text = stats.to_string();
    for part in ["Two-v0", "1 terminated, 1 cut off", "observation[0]"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_folder_that_is_missing_is_an_error_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/set.hdf5");
    let error = recorded(&[2], 1, 1).write(&path).unwrap_err();
    assert!(
        matches!(
            error,
            DataError::Io {
                action: "write",
                ..
            }
        ),
        "{error}"
    );
    assert!(matches!(
        Dataset::default().write(&folder.path().join("empty.hdf5")),
        Err(DataError::Entry { .. })
    ));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Frames and numbers behind them are what was recorded; a byte that is no frame of the data set is an error.
#[test]
fn frames_are_written_as_bytes_and_read() {
    let image = ImageShape {
        channels: 3,
        height: 4,
        width: 5,
    };
    for numbers in [0, 2] {
        let obs_dim = image.len() + numbers;
        let mut builder = Builder::new("Frames-v0", obs_dim, 1).with_image(Some(image));
        for step in 0..5u8 {
            let obs = vec![f32::from(step); obs_dim];
            let next = vec![f32::from(255 - step); obs_dim];
            builder.push(&obs, &[0.5], 1.0, &next, step == 2);
        }
        let dataset = builder.finish();
        assert_eq!((dataset.obs_dim, dataset.episodes.len()), (numbers, 2));
        let frames = dataset.frames.as_ref().unwrap();
        assert_eq!(
            (frames.obs.len(), frames.obs[60], frames.next_obs[60]),
            (300, 1, 254)
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames.hdf5");
        dataset.write(&path).unwrap();
        let read = Dataset::read(&path).unwrap();
        assert_eq!(read, dataset);
        let first = read.first_episodes(1);
        assert_eq!((first.len(), first.frames.unwrap().obs.len()), (3, 180));
        assert!(dataset.stats().to_string().contains("3 channels of 4x5"));
    }
    let flat = error_of(|file| {
        columns(file, "observations", 0.0);
        for name in ["frames", "next_frames"] {
            file.create_dataset(name)
                .with_u8_data(&[0; 8])
                .with_shape(&[4, 2]);
        }
    });
    assert!(
        flat.contains("[transitions, channels, height, width]"),
        "{flat}"
    );
    let short = error_of(|file| {
        columns(file, "observations", 0.0);
        for (name, rows) in [("frames", 4), ("next_frames", 3)] {
            let bytes = vec![0; 2 * rows as usize];
            let dataset = file.create_dataset(name);
            dataset.with_u8_data(&bytes).with_shape(&[rows, 1, 1, 2]);
        }
    });
    assert!(short.contains("next_frames"), "{short}");
}
