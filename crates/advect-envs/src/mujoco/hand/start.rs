//! How an episode begins: the block settles on the palm.

use advect_rng::Stream;

use super::{BLOCK, FRAME_SKIP, HandEnv, POSE, SIZES};
use crate::EnvError;

/// Physics steps before an episode.
const SETTLING: u32 = 10 * FRAME_SKIP;
/// Standard deviation of the noise on the block's first place, metres.
const JITTER: f64 = 0.005;
/// Above this height, the block lies on the palm.
const PALM: f64 = 0.04;
/// Draws of a first pose until the block stays on the palm.
const DRAWS: usize = 1000;
/// Bounds of a goal's place relative to the block's.
const OFFSETS: [[f64; 2]; 3] = [[-0.04, 0.04], [-0.06, 0.02], [0.0, 0.06]];

impl HandEnv {
    /// Puts the block there, with the hand half open, and simulates [`SETTLING`] steps; returns whether it lies on the palm.
    pub(super) fn settle(&mut self, block: [f64; POSE]) -> Result<bool, EnvError> {
        self.data.reset()?;
        self.data.forward()?;
        self.data.qpos_mut()[BLOCK].copy_from_slice(&block);
        self.send(&[0.0; SIZES[2]]);
        self.data.step(SETTLING, false)?;
        self.data.forward()?;
        Ok(self.data.site_xpos()[3 * self.centre + 2] > PALM)
    }

    /// Draws first poses until the block stays on the palm.
    pub(super) fn settle_somewhere(&mut self, rng: &mut Stream) -> Result<(), EnvError> {
        let mut first = [0.0; POSE];
        first.copy_from_slice(&self.data.model().qpos0()[BLOCK]);
        for _ in 0..DRAWS {
            let mut block = first;
            let turn = self.task.turn;
            block[3..].copy_from_slice(&turn.first(rng, self.config.rotation_noise));
            for coordinate in &mut block[..3] {
                *coordinate += JITTER * self.config.noise * rng.normal_f64();
            }
            if self.settle(block)? {
                return Ok(());
            }
        }
        Err(EnvError::BadSetting {
            id: self.spec.id.clone(),
            what: "noise",
            problem: format!("let the block fall off the hand {DRAWS} times; give less"),
        })
    }

    /// A pose to reach from where the block lies now.
    pub(super) fn draw_goal(&self, rng: &mut Stream) -> [f64; POSE] {
        let mut goal = self.block();
        if self.task.placed {
            for (coordinate, [low, high]) in goal.iter_mut().zip(OFFSETS) {
                *coordinate += low + (high - low) * rng.uniform_f64();
            }
        }
        let turn = self.task.turn.goal(rng, self.config.rotation_noise);
        goal[3..].copy_from_slice(&turn);
        goal
    }
}
