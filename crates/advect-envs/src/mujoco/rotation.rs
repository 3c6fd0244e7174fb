//! Quaternions `(w, x, y, z)` and Euler angles, in Gymnasium-Robotics' conventions and order of arithmetic.
//!
//! Its Euler angles `(a_x, a_y, a_z)` stand for the rotation `R_x(a_x) R_y(a_y) R_z(a_z)`.

/// A rotation as a unit quaternion, the real part first.
pub(super) type Quat = [f64; 4];

/// A cosine of the pitch below this counts as zero: there only a sum of yaw and roll is defined.
const GIMBAL_LOCK: f64 = 4.0 * f64::EPSILON;

/// The rotation by `angle` about `axis`, which need not have unit length.
pub(super) fn about(angle: f64, axis: [f64; 3]) -> Quat {
    let length = norm(&axis);
    let (sin, cos) = (angle / 2.0).sin_cos();
    let [x, y, z] = axis.map(|coordinate| sin * (coordinate / length));
    unit([cos, x, y, z])
}

/// `q` scaled to unit length.
pub(super) fn unit(q: Quat) -> Quat {
    let length = norm(&q);
    q.map(|part| part / length)
}

/// `a b`: first the rotation `b`, then `a`.
pub(super) fn product(a: Quat, b: Quat) -> Quat {
    let ([w_0, x_0, y_0, z_0], [w_1, x_1, y_1, z_1]) = (a, b);
    [
        w_0 * w_1 - x_0 * x_1 - y_0 * y_1 - z_0 * z_1,
        w_0 * x_1 + x_0 * w_1 + y_0 * z_1 - z_0 * y_1,
        w_0 * y_1 + y_0 * w_1 + z_0 * x_1 - x_0 * z_1,
        w_0 * z_1 + z_0 * w_1 + x_0 * y_1 - y_0 * x_1,
    ]
}

/// `2 arccos w` for the real part `w` of `a b^-1`: the angle between the two, in `[0, 2 pi]`.
///
/// `q` and `-q` are the same rotation, but their angles to a third one add up to a full turn.
pub(super) fn angle_between(a: Quat, b: Quat) -> f64 {
    let [w, x, y, z] = b;
    let [real, ..] = product(a, [w, -x, -y, -z]);
    2.0 * real.clamp(-1.0, 1.0).acos()
}

/// The quaternion of Euler angles.
pub(super) fn from_euler([a_x, a_y, a_z]: [f64; 3]) -> Quat {
    let (s_i, c_i) = (a_z / 2.0).sin_cos();
    let (s_j, c_j) = (-a_y / 2.0).sin_cos();
    let (s_k, c_k) = (a_x / 2.0).sin_cos();
    let (cc, cs) = (c_i * c_k, c_i * s_k);
    let (sc, ss) = (s_i * c_k, s_i * s_k);
    [
        c_j * cc + s_j * ss,
        c_j * cs - s_j * sc,
        -(c_j * ss + s_j * cc),
        c_j * sc - s_j * cs,
    ]
}

/// The Euler angles of a quaternion, which need not have unit length.
pub(super) fn to_euler(q: Quat) -> [f64; 3] {
    let m = matrix(q);
    let c_y = (m[2][2] * m[2][2] + m[1][2] * m[1][2]).sqrt();
    let a_y = -(-m[0][2]).atan2(c_y);
    match c_y > GIMBAL_LOCK {
        true => [-m[1][2].atan2(m[2][2]), a_y, -m[0][1].atan2(m[0][0])],
        false => [0.0, a_y, -(-m[1][0]).atan2(m[1][1])],
    }
}

/// The rotation matrix of a quaternion, which need not have unit length.
fn matrix(q: Quat) -> [[f64; 3]; 3] {
    let [w, x, y, z] = q;
    let s = 2.0 / squares(&q);
    let (x_s, y_s, z_s) = (x * s, y * s, z * s);
    let (wx, wy, wz) = (w * x_s, w * y_s, w * z_s);
    let (xx, xy, xz) = (x * x_s, x * y_s, x * z_s);
    let (yy, yz, zz) = (y * y_s, y * z_s, z * z_s);
    [
        [1.0 - (yy + zz), xy - wz, xz + wy],
        [xy + wz, 1.0 - (xx + zz), yz - wx],
        [xz - wy, yz + wx, 1.0 - (xx + yy)],
    ]
}

/// The Euclidean length of a vector, its squares added in the order and with the rounding of OpenBLAS on processors with AVX2: whole
/// blocks of 16 in as many fused sums, then the rest.
pub(super) fn norm(vector: &[f64]) -> f64 {
    let blocks = vector.chunks_exact(16);
    let rest = blocks.remainder();
    let mut sums = [0.0; 16];
    for block in blocks {
        for (sum, part) in sums.iter_mut().zip(block) {
            *sum = part.mul_add(*part, *sum);
        }
    }
    let pair = |i: usize| sums[i] + sums[i + 2];
    let lane = |i: usize| (pair(i) + pair(i + 4)) + (pair(i + 8) + pair(i + 12));
    let whole = lane(0) + lane(1);
    rest.iter()
        .fold(whole, |sum, part| sum + part * part)
        .sqrt()
}

fn squares(vector: &[f64]) -> f64 {
    vector.iter().map(|part| part * part).sum()
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_2, PI, TAU};

    use super::*;

    const ONE: Quat = [1.0, 0.0, 0.0, 0.0];

    fn near(found: &[f64], wanted: &[f64]) {
        let pairs = found.iter().zip(wanted);
        assert!(
            found.len() == wanted.len() && pairs.clone().all(|(f, w)| (f - w).abs() < 1e-14),
            "{found:?} for {wanted:?}"
        );
    }

    #[test]
    fn quaternions_turn_as_their_products_do() {
        let z = about(0.4, [0.0, 0.0, 2.0]);
        near(&z, &[0.2f64.cos(), 0.0, 0.0, 0.2f64.sin()]);
        near(&product(z, z), &about(0.8, [0.0, 0.0, 1.0]));
        // i j = k
        let (i, j) = ([0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]);
        assert_eq!(product(i, j), [0.0, 0.0, 0.0, 1.0]);
        near(&unit([0.0, 3.0, 0.0, 4.0]), &[0.0, 0.6, 0.0, 0.8]);
    }

    #[test]
    fn the_angle_between_rotations_sees_the_sign() {
        let z = about(0.4, [0.0, 0.0, 1.0]);
        near(&[angle_between(z, ONE)], &[0.4]);
        near(&[angle_between(ONE, z)], &[0.4]);
        near(&[angle_between(z.map(|part| -part), ONE)], &[TAU - 0.4]);
    }

    #[test]
    fn euler_angles_and_quaternions_are_each_others_inverse() {
        for angles in [[0.1, -0.7, 2.9], [-3.0, 1.2, 0.0], [0.0, 0.0, -1.0]] {
            near(&to_euler(from_euler(angles)), &angles);
            near(
                &to_euler(from_euler(angles).map(|part| 3.0 * part)),
                &angles,
            );
        }
        near(&from_euler([0.3, 0.0, 0.0]), &about(0.3, [1.0, 0.0, 0.0]));
        near(&from_euler([0.0, 0.3, 0.0]), &about(0.3, [0.0, 1.0, 0.0]));
        near(&from_euler([0.0, 0.0, PI]), &about(PI, [0.0, 0.0, 1.0]));
        let [x, y, z] = [
            about(0.3, [1.0, 0.0, 0.0]),
            about(0.5, [0.0, 1.0, 0.0]),
            about(0.7, [0.0, 0.0, 1.0]),
        ];
        near(&from_euler([0.3, 0.5, 0.7]), &product(x, product(y, z)));
    }

    #[test]
    fn a_length_counts_every_number_once() {
        for len in [0, 1, 3, 16, 17, 33, 40] {
            let vector: Vec<f64> = (0..len).map(f64::from).collect();
            let expected: f64 = vector.iter().map(|part| part * part).sum();
            assert_eq!(norm(&vector), expected.sqrt(), "{len}");
        }
    }

    #[test]
    fn a_pitch_of_a_quarter_turn_leaves_the_roll_at_zero() {
        let h = 0.5f64.sqrt();
        let [roll, pitch, yaw] = to_euler([h, 0.0, h, 0.0]);
        near(&[roll, pitch, yaw], &[0.0, FRAC_PI_2, 0.0]);
    }
}
