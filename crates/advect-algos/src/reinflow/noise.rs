//! How large the injected noise is: a network between two bounds, the upper of which falls.

use advect_kernels::{Activation, Mlp, ParamLayout, Schedule};
use candle_core::{Result, Tensor};

/// Bounds of the noise's deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Smallest deviation, `s_min`.
    pub low: f64,
    /// Largest deviation, `s_max`.
    pub high: f64,
}

/// How the upper bound falls over a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Annealing {
    /// The bounds at the start.
    pub bounds: Bounds,
    /// Updates of the run; 0 keeps the bounds.
    pub updates: u64,
    /// Share of the updates before the bound begins to fall.
    pub hold: f64,
    /// Where the upper bound ends, as a share of the way from the lower to the first upper one.
    pub end: f64,
}

impl Annealing {
    /// The bounds after so many updates: `s_max` during the first share `hold`, then half a cosine down to
    /// `s_min (1 - end) + s_max end`.
    pub fn at(&self, update: u64) -> Bounds {
        let Bounds { low, high } = self.bounds;
        if self.updates == 0 {
            return self.bounds;
        }
        let begin = (self.hold * self.updates as f64).round() as u64;
        let fall = Schedule::WarmupCosine {
            lr: high,
            lr_end: low * (1.0 - self.end) + high * self.end,
            warmup: 0,
            total: self.updates.saturating_sub(begin),
        };
        let high = match update.checked_sub(begin) {
            None => high,
            Some(since) => fall.at(since),
        };
        Bounds { low, high }
    }
}

/// The deviation of every coordinate by flow time and state: an MLP with tanh on `[e(tau), s]`.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseNet {
    mlp: Mlp,
}

impl NoiseNet {
    /// A network from an embedding and a state of these widths to `outputs` deviations.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(time: usize, obs: usize, hidden: &[usize], outputs: usize) -> Result<Self> {
        let sizes = [&[time + obs], hidden, &[outputs]].concat();
        let mlp = Mlp::new(&sizes, Activation::Tanh)?;
        Ok(Self { mlp })
    }

    /// Appends `{prefix}.{i}.weight` and `{prefix}.{i}.bias`.
    pub fn push_layout(&self, layout: &mut ParamLayout, prefix: &str) {
        self.mlp.push_layout(layout, prefix);
    }

    /// `log sigma = log s_min + (log s_max - log s_min) (tanh o + 1) / 2` with the outputs `o`; differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[N]`, `embedded` `[B, e]`, `obs` `[B, o]` to `[B, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn log_std(
        &self,
        params: &Tensor,
        embedded: &Tensor,
        obs: &Tensor,
        bounds: Bounds,
    ) -> Result<Tensor> {
        let output = self
            .mlp
            .forward(params, &Tensor::cat(&[embedded, obs], 1)?)?;
        let (low, high) = (bounds.low.ln(), bounds.high.ln());
        output
            .tanh()?
            .affine(0.5 * (high - low), 0.5 * (high + low))
    }
}

#[cfg(test)]
mod tests {
    use advect_kernels::{init, random};
    use advect_rng::Stream;
    use candle_core::Device;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        low: 0.1,
        high: 0.24,
    };

    #[test]
    fn deviations_fill_their_bounds_and_stay_inside() -> Result<()> {
        let (device, net) = (Device::Cpu, NoiseNet::new(4, 3, &[16, 16], 2)?);
        let mut layout = ParamLayout::new();
        net.push_layout(&mut layout, "noise");
        let mut stream = Stream::new(1, "noise");
        let values = init::draw(&layout, init::Init::Normal { std: 2.0 }, &mut stream);
        let params = Tensor::from_slice(&values, values.len(), &device)?;
        let embedded = random::normal(&mut stream, (200, 4), &device)?;
        let obs = random::normal(&mut stream, (200, 3), &device)?;
        let std = net.log_std(&params, &embedded, &obs, BOUNDS)?.exp()?;
        let least = std.min_all()?.to_scalar::<f32>()?;
        let most = std.max_all()?.to_scalar::<f32>()?;
        assert!((0.1 - 1e-6..0.105).contains(&least), "{least}");
        assert!((0.23..0.24 + 1e-6).contains(&most), "{most}");
        // no output: the geometric mean of the bounds
        let zero = params.zeros_like()?;
        let middle = net.log_std(&zero, &embedded, &obs, BOUNDS)?.exp()?;
        let middle = middle.flatten_all()?.to_vec1::<f32>()?[0];
        assert!((f64::from(middle) - (0.1f64 * 0.24).sqrt()).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn the_upper_bound_is_held_and_then_falls_to_its_share() {
        let mut annealing = Annealing {
            bounds: BOUNDS,
            updates: 100,
            hold: 0.35,
            end: 0.7,
        };
        let last = 0.1 * 0.3 + 0.24 * 0.7;
        let high = |update: u64| annealing.at(update).high;
        assert_eq!([0, 20, 35].map(high), [0.24; 3]);
        assert!((35..100).all(|i| high(i + 1) < high(i)));
        // between 67 and 68 the cosine is half way down
        assert!((0.5 * (high(67) + high(68)) - 0.5 * (0.24 + last)).abs() < 1e-12);
        assert!((high(100) - last).abs() < 1e-12 && high(10_000) == high(100));
        assert_eq!(annealing.at(100).low, 0.1);
        annealing.updates = 0;
        assert_eq!(annealing.at(10_000), BOUNDS);
    }
}
