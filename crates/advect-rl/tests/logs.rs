//! The logs of a run: readable while it runs, no line twice after a resume.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use advect_rl::metrics::{EVENTS_FILE, LogLengths, METRICS_FILE, MetricsWriter, read_metrics};
use advect_rl::storage::Disk;
use advect_rl::{Metrics, RunError};

fn metrics(value: f64) -> Metrics {
    Metrics::from([("critic/loss", value), ("a \"quoted\" name", 1.0)])
}

/// The lengths of the records of an event file, each framed by its length and two CRCs.
fn records(bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let len = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        lengths.push(len);
        rest = &rest[len + 16..];
    }
    lengths
}

#[test]
fn a_resumed_log_has_every_line_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = MetricsWriter::open(&Disk, dir.path(), LogLengths::default()).unwrap();
    log.write(100, &metrics(0.1)).unwrap();
    let kept = log.sync().unwrap();
    log.write(200, &metrics(0.2)).unwrap();
    drop(log);
    let mut log = MetricsWriter::open(&Disk, dir.path(), kept).unwrap();
    log.write(200, &metrics(1.0 / 3.0)).unwrap();
    let path = dir.path().join(METRICS_FILE);
    assert_eq!(
        read_metrics(&path).unwrap(),
        [(100, metrics(0.1)), (200, metrics(1.0 / 3.0))]
    );
    let lines = fs::read_to_string(&path).unwrap();
    assert_eq!(
        lines.lines().next(),
        Some(r#"{"step":100,"a \"quoted\" name":1.0,"critic/loss":0.1}"#)
    );
    let events = records(&fs::read(dir.path().join(EVENTS_FILE)).unwrap());
    assert_eq!(events.len(), 3);
    assert_eq!(events[0], 24);
}

#[test]
fn a_line_that_is_being_written_is_left_out_and_a_bad_one_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(METRICS_FILE);
    fs::write(&path, "{\"step\":1,\"x\":2.0}\n{\"step\":2,\"x\"").unwrap();
    assert_eq!(
        read_metrics(&path).unwrap(),
        [(1, Metrics::from([("x", 2.0)]))]
    );
    fs::write(&path, "{\"step\":1,\"x\":2.0}\n{\"x\":null}\n").unwrap();
    let error = read_metrics(&path).unwrap_err();
    assert!(matches!(error, RunError::Damaged { .. }));
    assert!(
        error.to_string().contains("line 2: {\"x\":null}"),
        "{error}"
    );
}
