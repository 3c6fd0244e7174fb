//! Embeddings of flow time: fixed features, then an optional small MLP.
//!
//! Features are plain functions of `t` with a known derivative, so that the forward-mode derivative of a
//! network in time (the MeanFlow identity needs it) starts here.

use std::f64::consts::PI;

use advect_kernels::waves::Waves;
use advect_kernels::{Activation, Mlp, ParamLayout};
use candle_core::{D, DType, Result, Tensor};

use crate::error::expect_rank;

/// Numerical floor inside the root of the LayerNorm of [`TimeEmbedding::fm_irl_layer_norm`].
const LAYER_NORM_EPS: f64 = 1e-5;

/// Fixed features of a flow time `t`.
#[derive(Debug, Clone, PartialEq)]
pub enum TimeFeatures {
    /// `scale [sin(w_0 t), .., sin(w_n t), cos(w_0 t), .., cos(w_n t)]`.
    Sinusoid {
        /// Angular frequencies `w`.
        frequencies: Vec<f64>,
        /// Factor on every feature.
        scale: f64,
    },
    /// `[sin(2 pi k t), cos(2 pi k t), t]`, `k = 1..=n_freq`, all sines first (FMER).
    Fourier {
        /// Number of frequencies.
        n_freq: usize,
    },
    /// `t` itself.
    Raw,
}

impl TimeFeatures {
    /// FLAME's sinusoid of width 16: `w_j = 10000^(-j/8)`, features times 1/4 (flame.md section 2).
    pub fn flame() -> Self {
        let frequencies = (0..8)
            .map(|j| 10_000f64.powf(-f64::from(j) / 8.0))
            .collect();
        Self::Sinusoid {
            frequencies,
            scale: 0.25,
        }
    }

    /// RLDT's sinusoid of width `dim`: `w_i = exp(-ln(10^4) i / (dim/2 - 1))` (rldt.md section 6).
    pub fn rldt(dim: usize) -> Self {
        let last = (dim / 2).saturating_sub(1).max(1) as f64;
        let frequencies = (0..dim / 2)
            .map(|i| (-(10_000f64.ln()) * i as f64 / last).exp())
            .collect();
        Self::Sinusoid {
            frequencies,
            scale: 1.0,
        }
    }

    /// FM-IRL's sinusoid of `1000 t`, width `dim`: `w_i = 1000 * 10000^(-i/(dim/2))` (fm_irl.md section 2.1).
    pub fn fm_irl(dim: usize) -> Self {
        let half = (dim / 2) as f64;
        let frequencies = (0..dim / 2)
            .map(|i| 1000.0 * 10_000f64.powf(-(i as f64) / half))
            .collect();
        Self::Sinusoid {
            frequencies,
            scale: 1.0,
        }
    }

    /// Number of features.
    pub fn dim(&self) -> usize {
        match self {
            Self::Sinusoid { frequencies, .. } => 2 * frequencies.len(),
            Self::Fourier { n_freq } => 2 * n_freq + 1,
            Self::Raw => 1,
        }
    }

    /// The features of every time.
    ///
    /// # Shapes
    /// `t` `[B]` to `[B, dim]`.
    ///
    /// # Errors
    /// If `t` is not a vector.
    pub fn value(&self, t: &Tensor) -> Result<Tensor> {
        self.values(&[t])?.squeeze(0)
    }

    /// The derivative of the features with respect to `t`.
    ///
    /// # Shapes
    /// `t` `[B]` to `[B, dim]`.
    ///
    /// # Errors
    /// If `t` is not a vector.
    pub fn derivative(&self, t: &Tensor) -> Result<Tensor> {
        self.with_derivatives(&[t], &[1.0])?.get(1)?.squeeze(0)
    }

    /// The features of several vectors of times.
    ///
    /// # Shapes
    /// `times` `m` of `[B]` to `[m, B, dim]`.
    ///
    /// # Errors
    /// If they are no vectors of one length.
    pub fn values(&self, times: &[&Tensor]) -> Result<Tensor> {
        let times = vectors(times)?;
        match self.waves() {
            Some(waves) => waves.values(&times.iter().collect::<Vec<_>>()),
            None => Tensor::stack(&times, 0)?.unsqueeze(2),
        }
    }

    /// The same and behind them their derivatives where time `i` moves by `rates[i]`: `[2, m, B, dim]`.
    ///
    /// # Errors
    /// If they are no vectors of one length, or there are not as many rates.
    pub fn with_derivatives(&self, times: &[&Tensor], rates: &[f64]) -> Result<Tensor> {
        let times = vectors(times)?;
        let times: Vec<&Tensor> = times.iter().collect();
        match self.waves() {
            Some(waves) => waves.with_derivatives(&times, rates),
            None => {
                let moved = times.iter().zip(rates);
                let moved = moved.map(|(t, rate)| t.ones_like()? * *rate);
                let moved = Tensor::stack(&moved.collect::<Result<Vec<_>>>()?, 0)?;
                Tensor::stack(&[Tensor::stack(&times, 0)?, moved], 0)?.unsqueeze(3)
            }
        }
    }

    /// What all but the plain time are made of.
    fn waves(&self) -> Option<Waves> {
        match self {
            Self::Sinusoid { frequencies, scale } => Some(Waves {
                frequencies: frequencies.clone(),
                scale: *scale,
                with_time: false,
            }),
            Self::Fourier { n_freq } => Some(Waves {
                frequencies: (1..=*n_freq).map(|k| 2.0 * PI * k as f64).collect(),
                scale: 1.0,
                with_time: true,
            }),
            Self::Raw => None,
        }
    }
}

/// Vectors of times, constant.
fn vectors(times: &[&Tensor]) -> Result<Vec<Tensor>> {
    let vector = |t: &&Tensor| {
        expect_rank("TimeFeatures", "t", t, 1)?;
        t.detach().to_dtype(DType::F32)
    };
    times.iter().map(vector).collect()
}

/// Features of flow time followed by an optional MLP and an optional LayerNorm.
///
/// The parameters live in the caller's flat buffer, in the order of [`TimeEmbedding::push_layout`].
#[derive(Debug, Clone, PartialEq)]
pub struct TimeEmbedding {
    features: TimeFeatures,
    mlp: Option<Mlp>,
    layer_norm: bool,
}

impl TimeEmbedding {
    /// Features only, no parameters (FMER's Fourier embedding).
    pub fn features_only(features: TimeFeatures) -> Self {
        Self {
            features,
            mlp: None,
            layer_norm: false,
        }
    }

    /// Features and an MLP with the layer widths `features.dim(), hidden, out`.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn with_mlp(
        features: TimeFeatures,
        hidden: usize,
        out: usize,
        activation: Activation,
    ) -> Result<Self> {
        let mlp = Mlp::new(&[features.dim(), hidden, out], activation)?;
        Ok(Self {
            features,
            mlp: Some(mlp),
            layer_norm: false,
        })
    }

    /// FLAME: sinusoid of width 16, then 16 to 32 (Mish) to 16 (flame.md section 2).
    ///
    /// # Errors
    /// None for these widths.
    pub fn flame() -> Result<Self> {
        Self::with_mlp(TimeFeatures::flame(), 32, 16, Activation::Mish)
    }

    /// FMER: Fourier features, no MLP (fmer.md section 2.3).
    pub fn fourier(n_freq: usize) -> Self {
        Self::features_only(TimeFeatures::Fourier { n_freq })
    }

    /// RLDT: sinusoid of width `dim`, then `dim` to `2 dim` (Mish) to `dim` (rldt.md section 6).
    ///
    /// # Errors
    /// If `dim` is below two.
    pub fn rldt(dim: usize) -> Result<Self> {
        Self::with_mlp(TimeFeatures::rldt(dim), 2 * dim, dim, Activation::Mish)
    }

    /// FM-IRL: sinusoid of `1000 t` of width `dim`, then `dim` to `dim` (SiLU) to `dim` (fm_irl.md section 2.1).
    ///
    /// # Errors
    /// If `dim` is below two.
    pub fn fm_irl(dim: usize) -> Result<Self> {
        Self::with_mlp(TimeFeatures::fm_irl(dim), dim, dim, Activation::Silu)
    }

    /// FM-IRL's two-feature form: `t`, 1 to `hidden` (SiLU) to 2, then LayerNorm over the two features.
    ///
    /// # Errors
    /// If `hidden` is zero.
    pub fn fm_irl_layer_norm(hidden: usize) -> Result<Self> {
        let embedding = Self::with_mlp(TimeFeatures::Raw, hidden, 2, Activation::Silu)?;
        Ok(Self {
            layer_norm: true,
            ..embedding
        })
    }

    /// The fixed features.
    pub fn features(&self) -> &TimeFeatures {
        &self.features
    }

    /// Width of the embedding.
    pub fn dim(&self) -> usize {
        self.mlp
            .as_ref()
            .map_or(self.features.dim(), Mlp::output_dim)
    }

    /// Number of parameters.
    pub fn num_params(&self) -> usize {
        let norm = if self.layer_norm { 2 * self.dim() } else { 0 };
        self.mlp.as_ref().map_or(0, Mlp::num_params) + norm
    }

    /// Appends `{prefix}.0`, `{prefix}.1` and, with LayerNorm, `{prefix}.ln`.
    pub fn push_layout(&self, layout: &mut ParamLayout, prefix: &str) {
        if let Some(mlp) = &self.mlp {
            mlp.push_layout(layout, prefix);
        }
        if self.layer_norm {
            layout.push(format!("{prefix}.ln.weight"), &[self.dim()]);
            layout.push(format!("{prefix}.ln.bias"), &[self.dim()]);
        }
    }

    /// The embedding, differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[num_params]`, `t` `[B]` to `[B, dim]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn forward(&self, params: &Tensor, t: &Tensor) -> Result<Tensor> {
        let features = self.features.value(t)?;
        let Some(mlp) = &self.mlp else {
            return Ok(features);
        };
        let y = mlp.forward(&params.narrow(0, 0, mlp.num_params())?, &features)?;
        if !self.layer_norm {
            return Ok(y);
        }
        let (weight, bias) = self.norm_params(params, mlp)?;
        let (normed, _) = standardise(&y)?;
        normed.broadcast_mul(&weight)?.broadcast_add(&bias)
    }

    /// Whether [`TimeEmbedding::forward_many`] can embed several times at once.
    pub(crate) fn is_batched(&self) -> bool {
        self.mlp.is_some() && !self.layer_norm
    }

    /// Whether a LayerNorm comes last.
    pub(crate) fn is_normed(&self) -> bool {
        self.layer_norm
    }

    /// The MLP behind the features.
    pub(crate) fn mlp(&self) -> Option<&Mlp> {
        self.mlp.as_ref()
    }

    /// Several times, each with parameters of its own, which lie behind one another: an ensemble of embeddings.
    ///
    /// # Shapes
    /// `params` `[m num_params]`, `times` `m` of `[B]` to `[m, B, dim]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub(crate) fn forward_many(&self, params: &Tensor, times: &[&Tensor]) -> Result<Tensor> {
        let features = self.features.values(times)?;
        match &self.mlp {
            Some(mlp) => mlp.forward(&params.reshape((times.len(), ()))?, &features),
            None => Ok(features),
        }
    }

    /// The embedding and its derivative in `t`, without gradient.
    ///
    /// # Shapes
    /// `params` `[num_params]`, `t` `[B]` to two tensors `[B, dim]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn forward_with_dot(&self, params: &Tensor, t: &Tensor) -> Result<(Tensor, Tensor)> {
        let (features, features_dot) = (self.features.value(t)?, self.features.derivative(t)?);
        let Some(mlp) = &self.mlp else {
            return Ok((features, features_dot));
        };
        let params = params.detach();
        let (y, y_dot) = mlp.jvp(
            &params.narrow(0, 0, mlp.num_params())?,
            &features,
            &features_dot,
        )?;
        if !self.layer_norm {
            return Ok((y, y_dot));
        }
        let (weight, bias) = self.norm_params(&params, mlp)?;
        let (normed, std) = standardise(&y)?;
        let normed_dot = standardise_dot(&normed, &std, &y_dot)?;
        let value = normed.broadcast_mul(&weight)?.broadcast_add(&bias)?;
        Ok((value, normed_dot.broadcast_mul(&weight)?))
    }

    fn norm_params(&self, params: &Tensor, mlp: &Mlp) -> Result<(Tensor, Tensor)> {
        let (start, width) = (mlp.num_params(), self.dim());
        Ok((
            params.narrow(0, start, width)?,
            params.narrow(0, start + width, width)?,
        ))
    }
}

/// `(y - mean) / std` over the last axis with the population variance, and `std`.
fn standardise(y: &Tensor) -> Result<(Tensor, Tensor)> {
    let centred = y.broadcast_sub(&y.mean_keepdim(D::Minus1)?)?;
    let std = (centred.sqr()?.mean_keepdim(D::Minus1)? + LAYER_NORM_EPS)?.sqrt()?;
    Ok((centred.broadcast_div(&std)?, std))
}

/// Tangent of [`standardise`]: `(y' - mean(y') - n mean(n y')) / std`, `n` the normalised value.
fn standardise_dot(normed: &Tensor, std: &Tensor, y_dot: &Tensor) -> Result<Tensor> {
    let mean = y_dot.mean_keepdim(D::Minus1)?;
    let along = (normed * y_dot)?.mean_keepdim(D::Minus1)?;
    let moved = y_dot
        .broadcast_sub(&mean)?
        .broadcast_sub(&normed.broadcast_mul(&along)?)?;
    moved.broadcast_div(std)
}

#[cfg(test)]
mod tests {
    use advect_kernels::{Params, init};
    use advect_rng::Stream;
    use candle_core::Device;

    use super::*;

    fn embeddings() -> Result<Vec<TimeEmbedding>> {
        Ok(vec![
            TimeEmbedding::flame()?,
            TimeEmbedding::fourier(4),
            TimeEmbedding::rldt(16)?,
            TimeEmbedding::fm_irl_layer_norm(16)?,
        ])
    }

    #[test]
    fn derivative_matches_central_differences() -> Result<()> {
        let device = Device::Cpu;
        let times = [0.0f32, 0.13, 0.5, 0.97];
        let at = |shift: f32| Tensor::new(times.map(|t| t + shift).as_slice(), &device);
        for embedding in embeddings()? {
            let mut layout = ParamLayout::new();
            embedding.push_layout(&mut layout, "time");
            assert_eq!(layout.len(), embedding.num_params());
            let scheme = init::Init::TruncatedNormal { scale: 1.0 };
            let mut values = init::draw(&layout, scheme, &mut Stream::new(3, "init"));
            values
                .iter_mut()
                .filter(|v| **v == 0.0)
                .for_each(|v| *v = 0.5);
            let params = if values.is_empty() {
                Tensor::zeros(1, DType::F32, &device)?
            } else {
                Params::from_vec(layout, None, values, &device)?.detached()
            };
            let (value, dot) = embedding.forward_with_dot(&params, &at(0.0)?)?;
            let same = (value - embedding.forward(&params, &at(0.0)?)?)?
                .abs()?
                .max_all()?
                .to_scalar::<f32>()?;
            assert!(same < 1e-6, "{embedding:?}: forward differs by {same}");
            let h = 2e-3f32;
            let up = embedding.forward(&params, &at(h)?)?;
            let down = embedding.forward(&params, &at(-h)?)?;
            let difference = ((up - down)? / f64::from(2.0 * h))?;
            let scale = difference.abs()?.max_all()?.to_scalar::<f32>()?.max(1.0);
            let error = (dot - difference)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(error < 2e-3 * scale, "{embedding:?}: {error} of {scale}");
        }
        Ok(())
    }

    #[test]
    fn flame_features_are_a_quarter_of_sines_then_cosines() -> Result<()> {
        let features = TimeFeatures::flame().value(&Tensor::new(&[0.0f32, 1.0], &Device::Cpu)?)?;
        let rows = features.to_vec2::<f32>()?;
        assert_eq!(rows[0][..8], [0.0; 8]);
        assert_eq!(rows[0][8..], [0.25; 8]);
        assert!((rows[1][0] - 0.25 * 1f32.sin()).abs() < 1e-7);
        assert!((rows[1][15] - 0.25 * (10_000f32.powf(-7.0 / 8.0)).cos()).abs() < 1e-7);
        Ok(())
    }

    #[test]
    fn a_matrix_of_times_is_refused_by_name() -> Result<()> {
        let t = Tensor::zeros((2, 1), DType::F32, &Device::Cpu)?;
        let error = TimeFeatures::flame().value(&t).unwrap_err().to_string();
        assert!(error.contains("`t` has shape [2, 1]"), "{error}");
        Ok(())
    }
}
