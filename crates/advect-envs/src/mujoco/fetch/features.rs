//! The features of an observation, computed in Gymnasium-Robotics' order of operations.

use super::robot::{FINGERS, Parts, SUBSTEPS, site};
use crate::EnvError;
use crate::mujoco::sim::Data;

/// Below this the second angle counts as a right one, and the first is left zero.
const UPRIGHT: f64 = 4.0 * f64::EPSILON;

/// Writes the features `[10]` of the gripper, or `[25]` with an object, into `out`, and returns the achieved goal.
///
/// The numbers are places of gripper and object, the way between them, the fingers' positions, the object's angles, its
/// velocities relative to the gripper's and of rotation, the gripper's velocity, the fingers' velocities. Velocities are those per
/// environment step.
pub(super) fn write(parts: &Parts, data: &mut Data, out: &mut [f64]) -> Result<[f64; 3], EnvError> {
    let dt = f64::from(SUBSTEPS) * data.model().timestep();
    let gripper = site(data, parts.grip);
    let [gripper_velocity, _] = velocities(data, parts.grip, dt)?;
    let of_fingers = FINGERS..FINGERS + 2;
    let fingers: Vec<f64> = data.qpos()[of_fingers.clone()].to_vec();
    let finger_velocities: Vec<f64> = data.qvel()[of_fingers].iter().map(|v| v * dt).collect();
    let Some(object) = parts.object else {
        let features = [
            &gripper[..],
            &fingers,
            &gripper_velocity,
            &finger_velocities,
        ];
        out.copy_from_slice(&features.concat());
        return Ok(gripper);
    };
    let place = site(data, object);
    let [velocity, rotation] = velocities(data, object, dt)?;
    let angles = euler(&data.site_xmat()[9 * object..]);
    let features = [
        &gripper[..],
        &place,
        &minus(place, gripper),
        &fingers,
        &angles,
        &minus(velocity, gripper_velocity),
        &rotation,
        &gripper_velocity,
        &finger_velocities,
    ];
    out.copy_from_slice(&features.concat());
    Ok(place)
}

/// Velocities of a site's position and rotation, times `dt`.
fn velocities(data: &mut Data, site: usize, dt: f64) -> Result<[[f64; 3]; 2], EnvError> {
    let jacobian = data.site_jacobian(site)?;
    let products = [&jacobian.position, &jacobian.rotation].map(|rows| product(rows, data.qvel()));
    Ok(products.map(|velocity| velocity.map(|v| v * dt)))
}

/// The product of `rows [3, n]` and `vector [n]`, summed as OpenBLAS' `dgemv` does it for NumPy on processors with fused
/// multiplication: the first two rows in two running sums, the third in four, and up to three last products apart.
fn product(rows: &[f64], vector: &[f64]) -> [f64; 3] {
    let row = |index: usize| &rows[index * vector.len()..(index + 1) * vector.len()];
    let [even, odd] = [row(0), row(1)].map(|row| {
        let [a, b] = running_sums::<2>(row, vector);
        with_last(a + b, row, vector)
    });
    let [a, b, c, d] = running_sums::<4>(row(2), vector);
    [even, odd, with_last((a + c) + (b + d), row(2), vector)]
}

/// How many products the running sums hold.
fn whole(len: usize) -> usize {
    len / 4 * 4
}

fn running_sums<const N: usize>(row: &[f64], vector: &[f64]) -> [f64; N] {
    let mut sums = [0.0; N];
    let products = row.iter().zip(vector).map(|(a, b)| a * b);
    for (i, product) in products.take(whole(row.len())).enumerate() {
        sums[i % N] += product;
    }
    sums
}

/// Adds the products that the running sums leave out.
fn with_last(sum: f64, row: &[f64], vector: &[f64]) -> f64 {
    let first = whole(row.len());
    match (&row[first..], &vector[first..]) {
        ([a], [x]) => a.mul_add(*x, sum),
        ([a, b], [x, y]) => sum + a.mul_add(*x, b * y),
        ([a, b, c], [x, y, z]) => sum + c.mul_add(*z, a.mul_add(*x, b * y)),
        _ => sum,
    }
}

/// The angles of a rotation matrix `[9]`.
fn euler(m: &[f64]) -> [f64; 3] {
    let cosine = (m[8] * m[8] + m[5] * m[5]).sqrt();
    let second = -(-m[2]).atan2(cosine);
    match cosine > UPRIGHT {
        true => [-m[5].atan2(m[8]), second, -m[1].atan2(m[0])],
        false => [0.0, second, -(-m[3]).atan2(m[4])],
    }
}

fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| a[i] - b[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_every_term_once() {
        for len in [13, 14, 15, 16, 21] {
            let vector: Vec<f64> = (0..len).map(|i| f64::from(1 << i)).collect();
            let rows = vec![1.0; 3 * vector.len()];
            let sum = f64::from(1 << len) - 1.0;
            assert_eq!(product(&rows, &vector), [sum; 3], "{len}");
        }
    }

    #[test]
    fn products_are_rounded_as_openblas_rounds_them() {
        // 2^53 takes up every 1 that is added to it before the other running sum is
        let mut row = [1.0; 8];
        row[0] = 9_007_199_254_740_992.0;
        let rows = [row, row, row].concat();
        let products = product(&rows, &[1.0; 8]).map(|sum| sum - row[0]);
        assert_eq!(products, [4.0, 4.0, 6.0]);
        // the last product is not rounded before it is added
        let tiny = 1.0 + f64::EPSILON;
        let rows = [[-1.0, 0.0, 0.0, 0.0, tiny]; 3].concat();
        let vector = [tiny * tiny, 0.0, 0.0, 0.0, tiny];
        assert!(product(&rows, &vector).iter().all(|rest| *rest != 0.0));
    }

    #[test]
    fn angles_are_those_of_the_rotation() {
        let (sine, cosine) = 0.3_f64.sin_cos();
        let about_z = [cosine, -sine, 0.0, sine, cosine, 0.0, 0.0, 0.0, 1.0];
        let angles = euler(&about_z);
        assert!((angles[2] - 0.3).abs() < 1e-15 && angles[0] == 0.0 && angles[1] == 0.0);
        let upright = [0.0, 0.0, 1.0, sine, cosine, 0.0, -cosine, sine, 0.0];
        let angles = euler(&upright);
        assert_eq!(angles[0], 0.0);
        assert!((angles[1] - std::f64::consts::FRAC_PI_2).abs() < 1e-15);
        assert!((angles[2] - 0.3).abs() < 1e-15);
    }
}
