//! The last lines that a process writes to its standard error.

use std::io::Read;
use std::process::ChildStderr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const KEPT_BYTES: usize = 8 * 1024;
const SHOWN_LINES: usize = 20;

/// Reads a standard error to its end on a thread of its own and keeps the last bytes.
#[derive(Debug)]
pub(super) struct Tail {
    kept: Arc<Mutex<Vec<u8>>>,
    /// Disconnected when the standard error has ended.
    ended: Receiver<()>,
}

impl Tail {
    pub(super) fn follow(mut stderr: ChildStderr) -> std::io::Result<Self> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = channel();
        let sink = Arc::clone(&kept);
        std::thread::Builder::new()
            .name("bridge stderr".to_owned())
            .spawn(move || {
                let _end = end;
                let mut chunk = [0; 4096];
                while let Ok(len @ 1..) = stderr.read(&mut chunk) {
                    keep(
                        &mut sink.lock().unwrap_or_else(PoisonError::into_inner),
                        &chunk[..len],
                    );
                }
            })?;
        Ok(Self { kept, ended })
    }

    /// The last lines; of a process that ended, all that it wrote last.
    pub(super) fn lines(&self, patience: Duration) -> String {
        // nothing is ever sent: this returns when the thread has read everything, or after the patience
        let _ = self.ended.recv_timeout(patience);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        last_lines(&String::from_utf8_lossy(&kept))
    }
}

fn keep(kept: &mut Vec<u8>, chunk: &[u8]) {
    kept.extend(chunk);
    let surplus = kept.len().saturating_sub(KEPT_BYTES);
    kept.drain(..surplus);
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut kept = Vec::new();
        for line in 0..5_000 {
            keep(&mut kept, format!("line {line}\n").as_bytes());
        }
        assert_eq!(kept.len(), KEPT_BYTES);
        let shown = last_lines(&String::from_utf8_lossy(&kept));
        assert_eq!(shown.lines().count(), SHOWN_LINES);
        assert!(shown.starts_with("line 4980") && shown.ends_with("line 4999"));
    }
}
