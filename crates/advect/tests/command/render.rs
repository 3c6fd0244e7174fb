//! Films of episodes, and pictures of what is learnt.

use crate::harness::{Training, advect, fail, succeed};
use std::path::Path;

fn render(source: &str, out: &Path, more: &[&str]) -> std::process::Command {
    let mut command = advect(&["render", source, "--size", "32"]);
    command.arg("--out").arg(out).args(more);
    command
}

#[test]
fn an_agent_is_shown_as_a_gif_and_as_a_sheet() {
    let folder = tempfile::tempdir().unwrap();
    let training = Training::new("sac", "Pendulum-v1", 80, folder.path());
    training.finish();
    let run = training.run_dir();
    let run = run.to_str().unwrap();
    let gif = folder.path().join("film.gif");
    let stdout = succeed(render(run, &gif, &["--every", "50"]).output());
    assert!(stdout.contains("returns -"), "{stdout}");
    assert!(stdout.contains("5 frames"), "{stdout}");
    let bytes = std::fs::read(&gif).unwrap();
    assert_eq!(bytes[..10], *b"GIF89a\x20\0\x20\0", "32 by 32");
    let sheet = folder.path().join("film.png");
    succeed(render(run, &sheet, &["--every", "50"]).output());
    let sheet = advect::envs::Image::read_png(&sheet).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (5 * 34 - 2, 32));
}

#[test]
fn a_film_ends_at_its_most_frames() {
    let folder = tempfile::tempdir().unwrap();
    let gif = folder.path().join("film.gif");
    let more = ["--env", "Maze2dUMaze-v0", "--frames", "3"];
    let stdout = succeed(render("scripted", &gif, &more).output());
    assert!(stdout.contains("no episode ended"), "{stdout}");
    assert!(stdout.contains("3 frames"), "{stdout}");
}

#[test]
fn what_cannot_be_shown_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let pendulum = ["--env", "Pendulum-v1", "--frames", "2"];
    let named = |name: &str| folder.path().join(name);
    let message = fail(&mut render("random", &named("film.avi"), &pendulum));
    assert!(message.contains(".gif, .png and .mp4"), "{message}");
    let message = fail(&mut render("random", &named("no/film.gif"), &pendulum));
    assert!(message.contains("film.gif"), "{message}");
    let message = fail(&mut render(
        "random",
        &named("film.gif"),
        &["--env", "Probe-Policy-v0"],
    ));
    assert!(message.contains("Probe-Policy-v0"), "{message}");
    let mut without = render("random", &named("film.mp4"), &pendulum);
    let message = fail(without.env("PATH", folder.path()));
    assert!(message.contains("install it"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn an_mp4_is_made_by_the_encoder_in_the_path() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ffmpeg");
    let encoder = |script: &str| {
        std::fs::write(&program, script).unwrap();
        let allowed = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, allowed).unwrap();
    };
    let film = folder.path().join("film.mp4");
    let shown = || {
        let mut command = render("random", &film, &["--env", "Pendulum-v1", "--frames", "2"]);
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
        command
    };
    // stands for the real one: writes what it is sent to its last argument
    encoder("#!/bin/sh\nfor last; do :; done\ncat > \"$last\"\n");
    succeed(shown().output());
    assert_eq!(std::fs::metadata(&film).unwrap().len(), 2 * 32 * 32 * 3);
    std::fs::remove_file(&film).unwrap();
    encoder("#!/bin/sh\ncat > /dev/null\necho no such codec >&2\nexit 3\n");
    let message = fail(&mut shown());
    assert!(message.contains("no such codec"), "{message}");
    assert!(!film.exists());
}

#[test]
fn fm_irl_on_a_ring_is_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = advect(&["modes", "--ring", "--out"]);
    let stdout = succeed(command.arg(folder.path()).output());
    let share: f64 = stdout.split(' ').next().unwrap().parse().unwrap();
    assert!(share > 90.0, "{stdout}");
    let svg = std::fs::read_to_string(folder.path().join("ring.svg")).unwrap();
    assert!(svg.contains("teacher"), "no samples of the teacher");
}
