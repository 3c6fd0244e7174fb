//! Expectations under N(0, 1) without sampling error.

const REACH: f64 = 9.0;

/// Equally spaced points on [-9, 9] and their probability masses: the trapezoid rule, exact to rounding for smooth functions.
pub fn normal_grid(points: usize) -> (Vec<f32>, Vec<f64>) {
    let step = 2.0 * REACH / (points - 1) as f64;
    let at = |i: usize| (-REACH + step * i as f64) as f32;
    let mass = |z: &f32| (-0.5 * f64::from(*z).powi(2)).exp() * step;
    let z: Vec<f32> = (0..points).map(at).collect();
    let masses: Vec<f64> = z.iter().map(mass).collect();
    let total: f64 = masses.iter().sum();
    (z, masses.iter().map(|m| m / total).collect())
}

/// `sum_i mass_i value_i`.
pub fn expectation(masses: &[f64], values: &[f32]) -> f64 {
    let terms = masses.iter().zip(values);
    terms.map(|(mass, value)| mass * f64::from(*value)).sum()
}

/// The normal quantiles of the levels `(k + 1/2) / count`.
pub fn normal_quantiles(count: usize) -> Vec<f32> {
    let (z, masses) = normal_grid(200_001);
    let mut quantiles = Vec::with_capacity(count);
    let mut below = -0.5 * masses[0];
    for (i, mass) in masses.iter().enumerate() {
        // The trapezoid's cell reaches half a step to either side.
        let (left, step) = (f64::from(z[i]), 2.0 * REACH / 200_000.0);
        while quantiles.len() < count {
            let level = (quantiles.len() as f64 + 0.5) / count as f64;
            if level > below + mass {
                break;
            }
            quantiles.push((left + step * ((level - below) / mass - 0.5)) as f32);
        }
        below += mass;
    }
    quantiles
}
