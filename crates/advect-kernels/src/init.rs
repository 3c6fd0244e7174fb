//! Initial parameters, drawn from a named stream.

use advect_rng::Stream;

use crate::params::{ParamEntry, ParamLayout};

/// How the weights of a linear layer start; biases follow the scheme's own rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Weights `sigma * n`, `n` a standard normal truncated to `[-2, 2]`, `sigma = scale / sqrt(fan_in)`; biases zero.
    /// `scale = 1` is Haiku's default (FLAME), `scale = 1/2` QVPO's.
    TruncatedNormal {
        /// Factor on `1 / sqrt(fan_in)`.
        scale: f32,
    },
    /// Weights and biases `U(-b, b)`, `b = 1 / sqrt(fan_in)`: PyTorch's default linear layer.
    FanInUniform,
    /// Weights `U(-b, b)`, `b = sqrt(6 / (fan_in + fan_out))`; biases zero (Glorot and Bengio).
    XavierUniform,
    /// Weights `std n`, `n` standard normal; biases zero.
    Normal {
        /// Standard deviation.
        std: f32,
    },
    /// Weights with orthonormal rows or columns (of whichever there are fewer) times `gain`, uniform over such matrices; biases zero
    /// (Saxe et al. 2014, arXiv 1312.6120).
    Orthogonal {
        /// Factor on the orthonormal matrix.
        gain: f32,
    },
}

/// Draws the values of one network in the order of `layout`: tensors of rank 2 are weights `[out, in]`, the
/// tensor of rank 1 after a weight is its bias. Of other tensors of rank 1, those named `.weight` are the gains of LayerNorms
/// and start at one, the rest stays zero.
pub fn draw(layout: &ParamLayout, scheme: Init, stream: &mut Stream) -> Vec<f32> {
    let mut values = vec![0.0; layout.len()];
    let mut fan_in = None;
    for entry in layout.entries() {
        let out = &mut values[entry.range()];
        if let [_, inputs] = entry.shape[..] {
            fan_in = Some(inputs);
            draw_weight(entry, scheme, stream, out);
        } else if let Some(inputs) = fan_in.take() {
            draw_bias(inputs, scheme, stream, out);
        } else if entry.name.ends_with(".weight") {
            out.fill(1.0);
        }
    }
    values
}

fn draw_weight(entry: &ParamEntry, scheme: Init, stream: &mut Stream, out: &mut [f32]) {
    let (fan_out, fan_in) = (entry.shape[0] as f32, entry.shape[1] as f32);
    match scheme {
        Init::TruncatedNormal { scale } => {
            stream.fill_truncated_standard_normal(-2.0, 2.0, out);
            let sigma = scale / fan_in.sqrt();
            out.iter_mut().for_each(|w| *w *= sigma);
        }
        Init::FanInUniform => fill_symmetric(stream, fan_in.sqrt().recip(), out),
        Init::Normal { std } => {
            stream.fill_normal(out);
            out.iter_mut().for_each(|w| *w *= std);
        }
        Init::XavierUniform => fill_symmetric(stream, (6.0 / (fan_in + fan_out)).sqrt(), out),
        Init::Orthogonal { gain } => fill_orthogonal(entry.shape[1], gain, stream, out),
    }
}

fn draw_bias(fan_in: usize, scheme: Init, stream: &mut Stream, out: &mut [f32]) {
    if scheme == Init::FanInUniform {
        fill_symmetric(stream, (fan_in as f32).sqrt().recip(), out);
    }
}

fn fill_symmetric(stream: &mut Stream, bound: f32, out: &mut [f32]) {
    stream.fill_uniform_range(-bound, bound, out);
}

/// Orthonormalises standard normals `[out, cols]` by Gram and Schmidt in f64: the shorter side's vectors become orthonormal.
fn fill_orthogonal(cols: usize, gain: f32, stream: &mut Stream, out: &mut [f32]) {
    stream.fill_normal(out);
    let rows = out.len() / cols;
    let (count, len) = (rows.min(cols), rows.max(cols));
    // component j of vector i
    let place = |i: usize, j: usize| {
        if rows <= cols {
            i * cols + j
        } else {
            j * cols + i
        }
    };
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    for i in 0..count {
        let mut vector: Vec<f64> = (0..len).map(|j| f64::from(out[place(i, j)])).collect();
        // the second pass removes what rounding left of the first
        for _ in 0..2 {
            basis
                .iter()
                .for_each(|earlier| remove(earlier, &mut vector));
        }
        let norm = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        for (j, x) in vector.iter().enumerate() {
            out[place(i, j)] = gain * *x as f32;
        }
        basis.push(vector);
    }
}

/// `vector <- vector - (unit . vector) unit`.
fn remove(unit: &[f64], vector: &mut [f64]) {
    let share = dot(unit, vector);
    for (x, u) in vector.iter_mut().zip(unit) {
        *x -= share * u;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(rows: usize, cols: usize, gain: f32, seed: u64) -> Vec<f32> {
        let mut layout = ParamLayout::new();
        layout.push("weight", &[rows, cols]);
        layout.push("bias", &[rows]);
        let mut stream = Stream::new(seed, "init");
        let values = draw(&layout, Init::Orthogonal { gain }, &mut stream);
        assert!(values[rows * cols..].iter().all(|bias| *bias == 0.0));
        values[..rows * cols].to_vec()
    }

    #[test]
    fn layer_norms_start_as_the_identity() {
        let mut layout = ParamLayout::new();
        layout.push("fc.weight", &[2, 3]);
        layout.push("fc.bias", &[2]);
        layout.push("ln.weight", &[2]);
        layout.push("ln.bias", &[2]);
        for scheme in [Init::FanInUniform, Init::XavierUniform] {
            let values = draw(&layout, scheme, &mut Stream::new(1, "init"));
            assert_eq!(values[8..], [1.0, 1.0, 0.0, 0.0]);
            assert!(values[..6].iter().all(|w| *w != 0.0));
        }
    }

    /// `Q Q^T = gain^2 I` for wide and square matrices, `Q^T Q = gain^2 I` for tall ones.
    #[test]
    fn orthogonal_weights_are_orthogonal() {
        for (rows, cols, gain) in [(5, 9, 1.5), (9, 5, 0.01), (64, 64, 1.4), (1, 3, 1.0)] {
            let q = drawn(rows, cols, gain, 3);
            let at = |i: usize, k: usize| {
                f64::from(
                    q[if rows <= cols {
                        i * cols + k
                    } else {
                        k * cols + i
                    }],
                )
            };
            for i in 0..rows.min(cols) {
                for j in 0..rows.min(cols) {
                    let product: f64 = (0..rows.max(cols)).map(|k| at(i, k) * at(j, k)).sum();
                    let expected = if i == j { f64::from(gain).powi(2) } else { 0.0 };
                    let error = (product - expected).abs() / f64::from(gain).powi(2);
                    assert!(error < 1e-5, "[{rows}, {cols}] ({i}, {j}): {error}");
                }
            }
        }
    }

    /// The signs are not fixed by the procedure: entries have mean zero over seeds.
    #[test]
    fn orthogonal_weights_are_spread_evenly() {
        let first = |seed| drawn(2, 2, 1.0, seed);
        let sums = (0..400).map(first).fold([0.0f32; 4], |mut sums, q| {
            sums.iter_mut().zip(q).for_each(|(sum, q)| *sum += q);
            sums
        });
        // standard deviation of a sum: sqrt(400 / 2) = 14
        assert!(sums.iter().all(|sum| sum.abs() < 60.0), "{sums:?}");
    }
}
