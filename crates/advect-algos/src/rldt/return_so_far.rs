//! What an episode has collected before each of its steps, an input of Furniture's critics: which stage of the task it is in
//! (rldt.md sections 4 and 6).

use advect_rl::{StateDict, StateError};

use super::trajectories::Shape;

/// Name in a saved state.
const NAME: &str = "returns_so_far";

/// Returns at the starts of the kept rollouts, each environment's behind the other's; after the last rollout, those of the next.
///
/// Episodes go on from one rollout to the next, so what was collected before a rollout cannot be told from its own rewards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReturnsSoFar {
    starts: Vec<f32>,
}

impl ReturnsSoFar {
    /// Sums of the rewards since each episode's first step, before every row; the newest rollout of `shape` is new.
    ///
    /// # Shapes
    /// `reward` and `ended` (1 where an episode terminated or was cut off) one per row, environments of a step behind each other.
    pub fn follow(&mut self, shape: Shape, reward: &[f32], ended: &[bool]) -> Vec<f32> {
        let Shape { steps, envs, .. } = shape;
        let kept = shape.rollouts * envs;
        self.starts.drain(..self.starts.len().saturating_sub(kept));
        // nothing was collected before the first
        let unknown = kept - self.starts.len();
        self.starts.splice(..0, std::iter::repeat_n(0.0, unknown));
        let mut before = Vec::with_capacity(reward.len());
        let mut now = vec![0.0; envs];
        for (row, (reward, ended)) in reward.iter().zip(ended).enumerate() {
            let (step, env) = (row / envs, row % envs);
            if step % steps == 0 {
                now[env] = self.starts[step / steps * envs + env];
            }
            before.push(now[env]);
            now[env] = if *ended { 0.0 } else { now[env] + reward };
        }
        self.starts.extend(now);
        before
    }

    /// Writes it.
    pub fn save(&self, out: &mut StateDict) {
        out.put_vec(NAME, self.starts.clone());
    }

    /// Continues from what [`ReturnsSoFar::save`] wrote.
    ///
    /// # Errors
    /// If the entry is missing or of another type.
    pub fn load(&mut self, from: &StateDict) -> Result<(), StateError> {
        self.starts = from.vec(NAME)?.to_vec();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rollouts: usize) -> Shape {
        Shape {
            rollouts,
            steps: 2,
            envs: 2,
        }
    }

    #[test]
    fn episodes_go_on_from_one_rollout_to_the_next() {
        let mut so_far = ReturnsSoFar::default();
        let (mut reward, mut ended) = (vec![1.0, 10.0, 2.0, 20.0], vec![false; 4]);
        ended[1] = true; // the second environment's episode has one step
        let before = so_far.follow(shape(1), &reward, &ended);
        assert_eq!(before, [0.0, 0.0, 1.0, 0.0]);
        reward.extend([4.0, 40.0, 8.0, 80.0]);
        ended.extend([true, false, false, false]);
        let both = so_far.follow(shape(2), &reward, &ended);
        assert_eq!(both, [0.0, 0.0, 1.0, 0.0, 3.0, 20.0, 0.0, 60.0]);
        // the first rollout is no longer kept: what began in it is known all the same
        let (mut reward, mut ended) = (reward.split_off(4), ended.split_off(4));
        reward.extend([16.0, 160.0, 32.0, 320.0]);
        ended.extend([false; 4]);
        let moved = so_far.follow(shape(2), &reward, &ended);
        assert_eq!(moved, [3.0, 20.0, 0.0, 60.0, 8.0, 140.0, 24.0, 300.0]);
    }
}
