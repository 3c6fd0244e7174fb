//! The kitchen's robot and things: gymnasium-robotics 1.4.2's numbers for its model.

use advect_rng::Stream;

/// Joints of the robot, and actions: seven of the arm, two fingers.
pub(super) const ROBOT: usize = 9;
/// Positions and velocities of the model, the robot's first.
pub(super) const NQ: usize = 30;
pub(super) const NV: usize = 29;
/// Length of an observation: the robot's positions and velocities, then those of the things.
pub(super) const OBS: usize = NQ + NV;
/// Physics steps per environment step.
pub(super) const FRAME_SKIP: u32 = 40;
/// Steps of an episode.
pub(super) const MAX_STEPS: u32 = 280;

/// Velocity that an action of 1 asks for.
const SPEED: f64 = 2.0;
/// Bound of the velocity.
const MAX_SPEED: f64 = 10.0;
/// Bounds of the positions that the robot is sent to.
const LOW: [f64; ROBOT] = [-2.9, -1.8, -2.9, -3.1, -2.9, 0.0, -2.9, 0.0, 0.0];
const HIGH: [f64; ROBOT] = [2.9, 1.8, 2.9, 0.0, 2.9, 3.8, 2.9, 0.04, 0.04];

/// Where every episode begins, at rest.
pub(super) const FIRST_QPOS: [f64; NQ] = [
    1.48388023e-01,
    -1.76848573e00,
    1.84390296e00,
    -2.47685760e00,
    2.60252026e-01,
    7.12533105e-01,
    1.59515394e00,
    4.79267505e-02,
    3.71350919e-02,
    -2.66279850e-04,
    -5.18043486e-05,
    3.12877220e-05,
    -4.51199853e-05,
    -3.90842156e-06,
    -4.22629655e-05,
    6.28065475e-05,
    4.04984708e-05,
    4.62730939e-04,
    -2.26906415e-04,
    -4.65501369e-04,
    -6.44129196e-03,
    -1.77048263e-03,
    1.08009684e-03,
    -2.69397440e-01,
    3.50383255e-01,
    1.61944683e00,
    1.00618764e00,
    4.06395120e-03,
    -6.62095997e-03,
    -2.68278933e-04,
];

/// Noise of the robot's observed positions and velocities.
const ROBOT_NOISE: f64 = 0.1;
/// Noise of the things' observed positions. Gymnasium-Robotics takes these from one joint too early.
const OBJECT_QPOS_NOISE: [f64; NQ - ROBOT] = [
    0.1, 5e-3, 5e-3, 5e-4, 5e-4, 5e-4, 5e-4, 5e-4, 5e-4, 5e-3, 5e-3, 5e-3, 0.1, 0.1, 0.1, 5e-3,
    5e-3, 5e-3, 0.1, 0.1, 0.1,
];
/// Noise of the things' observed velocities.
const OBJECT_QVEL_NOISE: [f64; NV - ROBOT] = [
    5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 5e-3, 0.1, 0.1, 0.1, 5e-3, 5e-3,
    5e-3, 0.1, 0.1, 0.1,
];

/// The position that joint `index` is sent to from its observed one by an action, over `dt` seconds.
pub(super) fn target(index: usize, observed: f64, action: f32, dt: f64) -> f64 {
    let velocity = f64::from(action.clamp(-1.0, 1.0)) * SPEED;
    let position = observed + velocity.clamp(-MAX_SPEED, MAX_SPEED) * dt;
    position.clamp(LOW[index], HIGH[index])
}

/// Writes the observation `[OBS]` of positions and velocities, each with uniform noise.
pub(super) fn observe(
    (qpos, qvel): (&[f64], &[f64]),
    (robot_ratio, object_ratio): (f64, f64),
    rng: &mut Stream,
    obs: &mut [f64],
) {
    let (robot_qpos, object_qpos) = qpos.split_at(ROBOT);
    let (robot_qvel, object_qvel) = qvel.split_at(ROBOT);
    let parts = [
        (robot_qpos, robot_ratio, &[ROBOT_NOISE; ROBOT][..]),
        (robot_qvel, robot_ratio, &[ROBOT_NOISE; ROBOT]),
        (object_qpos, object_ratio, &OBJECT_QPOS_NOISE),
        (object_qvel, object_ratio, &OBJECT_QVEL_NOISE),
    ];
    let mut out = obs.iter_mut();
    for (values, ratio, noise) in parts {
        // the values come first: an iterator that ends must not take a place of the next part
        for ((value, noise), out) in values.iter().zip(noise).zip(&mut out) {
            *out = value + ratio * noise * (2.0 * rng.uniform_f64() - 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_clipped_velocities() {
        assert_eq!(target(0, 0.0, 0.5, 0.08), 0.08);
        assert_eq!(target(0, 0.0, -7.0, 0.08), -0.16);
        assert_eq!(target(7, 0.03, 1.0, 0.08), 0.04);
        assert_eq!(target(3, -0.1, 1.0, 0.08), 0.0);
    }

    #[test]
    fn noise_stays_within_its_amplitude() {
        let (qpos, qvel) = (FIRST_QPOS, [0.0; NV]);
        let mut rng = Stream::new(0, "kitchen");
        let mut obs = [0.0; OBS];
        observe((&qpos, &qvel), (0.0, 0.0), &mut rng, &mut obs);
        assert_eq!(obs[..ROBOT], qpos[..ROBOT]);
        assert_eq!(obs[2 * ROBOT..][..NQ - ROBOT], qpos[ROBOT..]);
        observe((&qpos, &qvel), (0.01, 5e-4), &mut rng, &mut obs);
        let most = |values: &[f64]| values.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        let robot_qvel = most(&obs[ROBOT..2 * ROBOT]);
        assert!(robot_qvel > 1e-4 && robot_qvel <= 1e-3, "{robot_qvel}");
        let object_qvel = most(&obs[2 * ROBOT + NQ - ROBOT..]);
        assert!(object_qvel > 1e-6 && object_qvel <= 5e-5, "{object_qvel}");
    }
}
