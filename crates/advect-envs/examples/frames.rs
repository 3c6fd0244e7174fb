//! Frames per second at 84 x 84, each after one step: `cargo run --release --example frames HalfCheetah-v5 [FILE.png]`.
#![allow(clippy::print_stdout, reason = "its purpose")]

use std::time::{Duration, Instant};

use advect_envs::{Env, EnvError, Image, make};
use advect_rng::Stream;

const SIZE: usize = 84;
const MEASURED: Duration = Duration::from_secs(5);

/// Takes a random step, begins again after the last one, and draws.
fn advance(env: &mut dyn Env, rng: &mut Stream, obs: &mut [f64]) -> Result<Image, EnvError> {
    let spec = env.spec();
    let bounds = spec.act_low.iter().zip(&spec.act_high);
    let action: Vec<f32> = bounds
        .map(|(low, high)| low + (high - low) * rng.uniform_f64() as f32)
        .collect();
    if env.step(&action, obs)?.is_last() {
        env.reset(rng, obs)?;
    }
    env.render(SIZE, SIZE)
}

fn main() -> Result<(), EnvError> {
    let mut arguments = std::env::args().skip(1);
    let id = arguments
        .next()
        .unwrap_or_else(|| "HalfCheetah-v5".to_owned());
    let (mut env, mut rng) = (make(&id)?, Stream::new(0, "frames"));
    let mut obs = vec![0.0; env.spec().obs_dim];
    env.reset(&mut rng, &mut obs)?;
    let mut image = env.render(SIZE, SIZE)?;
    let (start, mut frames) = (Instant::now(), 0_u32);
    while start.elapsed() < MEASURED {
        image = advance(&mut env, &mut rng, &mut obs)?;
        frames += 1;
    }
    let rate = f64::from(frames) / start.elapsed().as_secs_f64();
    println!("{id}: {rate:.0} frames/s at {SIZE} x {SIZE}");
    write(&image, arguments.next())
}

#[cfg(feature = "pixels")]
fn write(image: &Image, file: Option<String>) -> Result<(), EnvError> {
    file.map_or(Ok(()), |file| image.write_png(std::path::Path::new(&file)))
}

#[cfg(not(feature = "pixels"))]
fn write(_image: &Image, _file: Option<String>) -> Result<(), EnvError> {
    Ok(())
}
