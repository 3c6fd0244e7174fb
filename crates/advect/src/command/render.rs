//! `advect render`.

use super::actor::ActorArgs;
use super::print;
use advect::env_source::EnvSource;
use advect::envs::Image;
use advect::film::{self, Kind};
use advect::rl::behaviour::Behaviour;
use advect::rl::watch::watch;
use clap::Args;
use indicatif::ProgressBar;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Arguments of `render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// Who acts.
    #[command(flatten)]
    pub actor: ActorArgs,
    /// File to write: .gif, .mp4 (by FFmpeg), or .png, a sheet of 24 frames
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Episodes
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// Width and height of a frame in pixels
    #[arg(long, default_value_t = 192, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(16..=640))]
    pub size: u16,
    /// Show every N-th step
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub every: u32,
    /// Most frames; the film ends there
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub frames: u32,
    /// Frames a second
    #[arg(long, default_value_t = 25.0, value_name = "F", value_parser = rate)]
    pub fps: f64,
}

/// `advect render`: plays episodes and writes what is seen.
pub fn run(args: &RenderArgs) -> anyhow::Result<()> {
    Kind::of(&args.out)?;
    let (frames, returns) = args
        .actor
        .with_actor(|source, behaviour| play(args, source, behaviour))?;
    film::write(&args.out, &frames, args.fps)?;
    let returns: Vec<String> = returns.iter().map(|total| format!("{total:.2}")).collect();
    let returns = match returns.as_slice() {
        [] => "no episode ended".to_owned(),
        some => format!("returns {}", some.join(", ")),
    };
    let (count, path) = (frames.len(), args.out.display());
    print(&format!("{returns}\n{count} frames: {path}"))
}

fn play(
    args: &RenderArgs,
    source: &EnvSource,
    behaviour: &mut dyn Behaviour,
) -> anyhow::Result<(Vec<Image>, Vec<f64>)> {
    let (most, size) = (args.frames as usize, usize::from(args.size));
    let bar = ProgressBar::new_spinner();
    let mut frames = Vec::new();
    let mut steps: u32 = 0;
    let returns = watch(
        &source.factory(),
        args.episodes as usize,
        args.actor.seed,
        behaviour,
        &mut |env| {
            if frames.len() == most {
                return Ok(ControlFlow::Break(()));
            }
            if steps.is_multiple_of(args.every) {
                frames.push(env.render(size, size)?);
                bar.set_message(format!("{} frames", frames.len()));
                bar.tick();
            }
            steps = steps.wrapping_add(1);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    bar.finish_and_clear();
    Ok((frames, returns))
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(fps) if (0.1..=240.0).contains(&fps) => Ok(fps),
        _ => Err("expected frames a second from 0.1 to 240".into()),
    }
}
