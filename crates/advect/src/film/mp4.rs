//! MP4: the frames go to FFmpeg.

use super::FilmError;
use advect_envs::Image;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The program, found in `$PATH`.
const FFMPEG: &str = "ffmpeg";
/// The format needs even sizes.
const EVEN: &str = "pad=ceil(iw/2)*2:ceil(ih/2)*2";

pub(super) fn write(path: &Path, frames: &[Image], fps: f64) -> Result<(), FilmError> {
    let size = format!("{}x{}", frames[0].width(), frames[0].height());
    let mut child = Command::new(FFMPEG)
        .args(["-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"])
        .args(["-s", &size, "-r", &fps.to_string(), "-i", "-", "-vf", EVEN])
        .args(["-c:v", "libx264", "-pix_fmt", "yuv420p", "-y"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| FilmError::NoEncoder {
            program: FFMPEG.into(),
            source,
        })?;
    let mut pipe = child.stdin.take();
    let sent = frames.iter().try_for_each(|frame| match &mut pipe {
        Some(pipe) => pipe.write_all(frame.bytes()),
        None => Ok(()),
    });
    drop(pipe);
    let failed = |message: String| FilmError::Encoder {
        program: FFMPEG.into(),
        message,
    };
    let output = child
        .wait_with_output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{} ({})", said.trim(), output.status)));
    }
    sent.map_err(|error| failed(error.to_string()))
}
