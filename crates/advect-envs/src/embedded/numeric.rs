//! What the embedded tasks share: one Runge-Kutta step, angles and ranges.

use std::f64::consts::PI;

use advect_rng::Stream;

/// One step of the classical fourth-order Runge-Kutta method for `dx/dt = derivative(x)`.
pub(super) fn rk4<const N: usize>(
    state: [f64; N],
    dt: f64,
    derivative: impl Fn([f64; N]) -> [f64; N],
) -> [f64; N] {
    let along = |slope: [f64; N], time: f64| std::array::from_fn(|i| state[i] + time * slope[i]);
    let k1 = derivative(state);
    let k2 = derivative(along(k1, dt / 2.0));
    let k3 = derivative(along(k2, dt / 2.0));
    let k4 = derivative(along(k3, dt));
    let slope = std::array::from_fn(|i| k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]);
    along(slope, dt / 6.0)
}

/// The angle in `[-pi, pi)`.
pub(super) fn wrap(angle: f64) -> f64 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}

/// A uniform draw from `[-bound, bound)`.
pub(super) fn uniform(rng: &mut Stream, bound: f64) -> f64 {
    bound * (2.0 * rng.uniform_f64() - 1.0)
}

/// The Euclidean distance of two points.
pub(super) fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

#[cfg(test)]
mod tests {
    use super::{rk4, wrap};
    use std::f64::consts::PI;

    /// Halving the step divides the error of `x' = x` by 2^4 (it is `dt^5 / 120` a step).
    #[test]
    fn rk4_is_of_fourth_order() {
        let error = |steps: u32| {
            let dt = 1.0 / f64::from(steps);
            let end = (0..steps).fold([1.0], |x, _| rk4(x, dt, |x| x));
            (end[0] - 1.0_f64.exp()).abs()
        };
        let ratio = error(10) / error(20);
        assert!((ratio - 16.0).abs() < 1.0, "{ratio}");
    }

    #[test]
    fn angles_wrap_to_half_a_turn() {
        for (angle, wrapped) in [(0.5, 0.5), (PI + 0.5, 0.5 - PI), (-7.0 * PI, -PI)] {
            assert!((wrap(angle) - wrapped).abs() < 1e-12, "{angle}");
        }
    }
}
