//! The experts of the Fetch robot. There is none for `FetchSlide`, whose puck has to be thrown beyond the robot's reach.

use super::Expert;
use crate::EnvError;

/// Action for each metre that the gripper is away from its target; 0.1 metres ask for the fastest motion.
const GAIN: f64 = 10.0;
/// Fingers that open, and that close.
const OPEN: f64 = 1.0;
const CLOSE: f64 = -1.0;
/// Place of the goal before the end of an observation.
const GOAL: usize = 3;

/// Moves the gripper to the goal.
const REACH: Skill = |sight| toward(minus(sight.goal, sight.gripper), 0.0);

type Skill = fn(&Sight) -> [f64; 4];

/// Name, length of the observation and skill of every task with an expert; the first three have `-v4` or `Dense-v4` behind the name.
const TASKS: [(&str, usize, Skill); 4] = [
    ("FetchReach", 16, REACH),
    ("FetchPush", 31, push),
    ("FetchPickAndPlace", 31, pick_and_place),
    ("FetchPickAndPlaceDiffHoldout-v0", 16, pick_and_place),
];

/// Acts on the observation alone, without memory.
#[derive(Debug)]
struct FetchExpert {
    name: &'static str,
    obs_dim: usize,
    skill: Skill,
}

/// The expert of the task `id`, if there is one.
pub(super) fn expert(id: &str) -> Option<Box<dyn Expert>> {
    FetchExpert::of(id).map(|expert| Box::new(expert) as Box<dyn Expert>)
}

impl FetchExpert {
    fn of(id: &str) -> Option<Self> {
        let name = id.strip_suffix("-v4").map_or(id, |name| {
            let sparse = name.strip_suffix("Dense");
            sparse.unwrap_or(name)
        });
        let found = TASKS.into_iter().find(|(known, ..)| *known == name);
        let (name, obs_dim, skill) = found?;
        Some(Self {
            name,
            obs_dim,
            skill,
        })
    }

    fn check(&self, what: &'static str, wanted: usize, found: usize) -> Result<(), EnvError> {
        if wanted == found {
            return Ok(());
        }
        Err(EnvError::BadLength {
            id: self.name.to_owned(),
            what,
            wanted,
            found,
        })
    }
}

impl Expert for FetchExpert {
    fn reset(&mut self) {}

    fn act(&mut self, obs: &[f64], action: &mut [f32]) -> Result<(), EnvError> {
        self.check("observation", self.obs_dim, obs.len())?;
        self.check("action", 4, action.len())?;
        let wanted = (self.skill)(&Sight::of(obs));
        for (action, wanted) in action.iter_mut().zip(wanted) {
            *action = wanted.clamp(-1.0, 1.0) as f32;
        }
        Ok(())
    }
}

/// What an expert looks at.
struct Sight {
    gripper: [f64; 3],
    /// Nothing of use where the task has no object.
    object: [f64; 3],
    /// Distance between the fingers.
    gap: f64,
    goal: [f64; 3],
}

impl Sight {
    fn of(obs: &[f64]) -> Self {
        let three = |first: usize| [obs[first], obs[first + 1], obs[first + 2]];
        Self {
            gripper: three(0),
            object: three(3),
            gap: obs[9] + obs[10],
            goal: three(obs.len() - GOAL),
        }
    }
}

/// Goes above the object with open fingers, down, closes them, and carries the object to the goal.
fn pick_and_place(sight: &Sight) -> [f64; 4] {
    const ASIDE: f64 = 0.02;
    const ABOVE: f64 = 0.06;
    /// The object's width and 2 mm.
    const HELD: f64 = 0.052;
    let [x, y, z] = minus(sight.object, sight.gripper);
    let distance = x.hypot(y).hypot(z);
    if x.hypot(y) > ASIDE && distance > 2.0 * ASIDE {
        return toward([x, y, z + ABOVE], OPEN);
    }
    if distance > ASIDE {
        return toward([x, y, z], OPEN);
    }
    if sight.gap > HELD {
        return toward([x, y, z], CLOSE);
    }
    toward(minus(sight.goal, sight.object), CLOSE)
}

/// Goes around the object to the side opposite to the goal and pushes, at the height of the table.
fn push(sight: &Sight) -> [f64; 4] {
    const HEIGHT: f64 = 0.42;
    const DONE: f64 = 0.01;
    /// The slowest push, in units of the action.
    const SLOWEST: f64 = 0.15;
    /// The gripper pushes from within this distance of the line through object and goal.
    const BESIDE: f64 = 0.02;
    let lift = GAIN * (HEIGHT - sight.gripper[2]);
    let [x, y, _] = minus(sight.goal, sight.object);
    let distance = x.hypot(y);
    if distance < DONE {
        return [0.0, 0.0, lift, 0.0];
    }
    let ahead = [x / distance, y / distance];
    let [px, py, _] = minus(sight.gripper, sight.object);
    let along = px * ahead[0] + py * ahead[1];
    let aside = [px - along * ahead[0], py - along * ahead[1]];
    let [dx, dy] = if along < -BESIDE && aside[0].hypot(aside[1]) < BESIDE {
        let speed = (GAIN * distance).clamp(SLOWEST, 1.0);
        [0, 1].map(|i| speed * ahead[i] - GAIN * aside[i])
    } else {
        let [tx, ty] = way_around([px, py], ahead);
        scaled([GAIN * (tx - px), GAIN * (ty - py)])
    };
    [dx, dy, lift, 0.0]
}

/// The next place, relative to the object, on the way of a gripper at `place` to the side opposite to `ahead`.
fn way_around(place: [f64; 2], ahead: [f64; 2]) -> [f64; 2] {
    const BEHIND: f64 = 0.07;
    const RADIUS: f64 = 0.1;
    /// Angles that count as behind, and that are turned by at once.
    const ALMOST: f64 = 0.25;
    const TURN: f64 = 0.8;
    let [x, y] = place;
    let back = [-ahead[0], -ahead[1]];
    let angle = (x * back[1] - y * back[0]).atan2(x * back[0] + y * back[1]);
    if angle.abs() < ALMOST {
        return back.map(|b| BEHIND * b);
    }
    let direction = y.atan2(x) + angle.clamp(-TURN, TURN);
    [RADIUS * direction.cos(), RADIUS * direction.sin()]
}

/// The action along `way`, its direction kept where it is too large.
fn toward(way: [f64; 3], fingers: f64) -> [f64; 4] {
    let [x, y, z] = scaled(way.map(|w| GAIN * w));
    [x, y, z, fingers]
}

/// Shortens what is beyond the bounds of an action.
fn scaled<const N: usize>(wanted: [f64; N]) -> [f64; N] {
    let most = wanted.iter().fold(1.0_f64, |most, w| most.max(w.abs()));
    wanted.map(|w| w / most)
}

fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| a[i] - b[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_have_their_experts() {
        for (id, name) in [
            ("FetchReachDense-v4", "FetchReach"),
            ("FetchPush-v4", "FetchPush"),
            (
                "FetchPickAndPlaceDiffHoldout-v0",
                "FetchPickAndPlaceDiffHoldout-v0",
            ),
        ] {
            assert_eq!(FetchExpert::of(id).map(|e| e.name), Some(name));
        }
        assert!(FetchExpert::of("FetchSlide-v4").is_none());
        assert!(FetchExpert::of("FetchReach-v3").is_none());
    }

    #[test]
    fn the_way_around_keeps_its_distance_and_ends_behind() {
        let ahead = [1.0, 0.0];
        let mut place = [0.1, 0.01];
        for _ in 0..4 {
            place = way_around(place, ahead);
            assert!(place[0].hypot(place[1]) >= 0.07 - 1e-12, "{place:?}");
        }
        assert_eq!(way_around(place, ahead), [-0.07, -0.0]);
    }

    #[test]
    fn other_lengths_are_refused() {
        let mut expert = FetchExpert::of("FetchReach-v4").unwrap();
        assert!(expert.act(&[0.0; 31], &mut [0.0; 4]).is_err());
        assert!(expert.act(&[0.0; 16], &mut [0.0; 3]).is_err());
        assert_eq!(expert.act(&[0.0; 16], &mut [0.0; 4]), Ok(()));
    }
}
