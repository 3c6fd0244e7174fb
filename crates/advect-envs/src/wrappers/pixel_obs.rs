//! The frame as the observation.

use advect_rng::Stream;

use crate::pixels::check_size;
use crate::{Env, EnvError, EnvSpec, Image, ImageShape, Step};

/// Colours of a pixel.
const CHANNELS: usize = 3;

/// Observations `[3 * height * width]`: the frame after each step, channel first (all reds, rows from top to bottom, then all greens, then
/// all blues), in whole numbers from 0 to 255.
///
/// The environment's own observation is not seen, and a goal is only where the frame shows it. Frames are drawn on the thread that steps
/// the environment, each with its own OpenGL context where MuJoCo draws.
#[derive(Debug)]
pub struct PixelObs<E> {
    env: E,
    spec: EnvSpec,
    height: usize,
    width: usize,
    /// The environment's own observation.
    state_obs: Vec<f64>,
}

impl<E: Env> PixelObs<E> {
    /// Frames of `env`. Whether it can be drawn shows at the first reset.
    ///
    /// # Errors
    /// [`EnvError::BadFrame`].
    pub fn new(env: E, height: usize, width: usize) -> Result<Self, EnvError> {
        check_size(width, height)?;
        let inner = env.spec();
        let state_obs = vec![0.0; inner.obs_dim];
        let image = ImageShape {
            channels: CHANNELS,
            height,
            width,
        };
        let spec = EnvSpec {
            obs_dim: image.len(),
            goal: None,
            image: Some(image),
            ..inner.clone()
        };
        Ok(Self {
            env,
            spec,
            height,
            width,
            state_obs,
        })
    }

    /// The environment inside.
    pub fn inner(&self) -> &E {
        &self.env
    }

    fn draw(&self, obs: &mut [f64]) -> Result<(), EnvError> {
        let frame = self.env.render(self.width, self.height)?;
        let planes = obs.chunks_exact_mut(self.height * self.width);
        for (channel, plane) in planes.enumerate() {
            let values = frame.bytes().iter().skip(channel).step_by(CHANNELS);
            for (out, value) in plane.iter_mut().zip(values) {
                *out = f64::from(*value);
            }
        }
        Ok(())
    }
}

impl<E: Env> Env for PixelObs<E> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.env.reset(rng, &mut self.state_obs)?;
        self.draw(obs)
    }

    fn announce(&mut self, action: &[f32]) {
        self.env.announce(action);
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_obs(obs)?;
        let step = self.env.step(action, &mut self.state_obs)?;
        self.draw(obs)?;
        Ok(step)
    }

    /// That of the environment: the frame follows from it.
    fn save_state(&self) -> Vec<u8> {
        self.env.save_state()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.env.load_state(state)
    }

    fn is_success(&self) -> Option<bool> {
        self.env.is_success()
    }

    fn state_obs(&self) -> Option<&[f64]> {
        Some(&self.state_obs)
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        self.env.render(width, height)
    }
}
