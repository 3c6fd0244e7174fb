//! The experts of the tasks with several good ways to act. They take them in turn, one per episode, and none as well as it could be
//! taken: demonstrations for a policy that keeps the ways and improves on each.

use super::Expert;
use crate::EnvError;
use crate::embedded::GOALS;

/// Where the bandit's expert acts: a little inside the modes at -0.6 and 0.6.
const BANDIT_ACTIONS: [f32; 2] = [-0.42, 0.42];
/// How fast the expert of the multi-goal plane goes to its goal: half of what is best.
const SPEED: f64 = 0.25;

/// What is done in the episodes of one mode.
type Rule = fn(mode: usize, obs: &[f64], action: &mut [f32]);

/// Acts by one mode after the other.
struct InTurn {
    id: &'static str,
    modes: usize,
    rule: Rule,
    widths: [usize; 2],
    episode: usize,
}

/// The expert of the task `id`.
pub(super) fn expert(id: &str) -> Option<Box<dyn Expert>> {
    let (id, modes, rule, widths): (_, _, Rule, _) = match id {
        "TwoModeBandit-v0" => ("TwoModeBandit-v0", 2, bandit, [1, 1]),
        "MultiGoal-v0" => ("MultiGoal-v0", GOALS.len(), multi_goal, [2, 2]),
        _ => return None,
    };
    Some(Box::new(InTurn {
        id,
        modes,
        rule,
        widths,
        episode: 0,
    }))
}

fn bandit(mode: usize, _: &[f64], action: &mut [f32]) {
    action.fill(BANDIT_ACTIONS[mode]);
}

fn multi_goal(mode: usize, obs: &[f64], action: &mut [f32]) {
    let way: Vec<f64> = GOALS[mode].iter().zip(obs).map(|(g, s)| g - s).collect();
    let length = way.iter().map(|x| x * x).sum::<f64>().sqrt().max(SPEED);
    for (action, way) in action.iter_mut().zip(way) {
        *action = (SPEED * way / length) as f32;
    }
}

impl Expert for InTurn {
    fn reset(&mut self) {
        self.episode += 1;
    }

    fn act(&mut self, obs: &[f64], action: &mut [f32]) -> Result<(), EnvError> {
        let found = [("observation", obs.len()), ("action", action.len())];
        for ((what, found), wanted) in found.into_iter().zip(self.widths) {
            if found != wanted {
                let id = self.id.to_owned();
                return Err(EnvError::BadLength {
                    id,
                    what,
                    wanted,
                    found,
                });
            }
        }
        (self.rule)(self.episode % self.modes, obs, action);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_taken_in_turn() -> Result<(), Box<dyn std::error::Error>> {
        let mut expert = expert("MultiGoal-v0").ok_or("no expert")?;
        let mut seen = Vec::new();
        for _ in 0..4 {
            expert.reset();
            let mut action = [0.0f32; 2];
            expert.act(&[0.0, 0.0], &mut action)?;
            seen.push(action.map(|a| (a * 4.0) as i32));
        }
        seen.sort_unstable();
        assert_eq!(seen, [[-1, 0], [0, -1], [0, 1], [1, 0]]);
        assert!(expert.act(&[0.0], &mut [0.0, 0.0]).is_err());
        Ok(())
    }
}
