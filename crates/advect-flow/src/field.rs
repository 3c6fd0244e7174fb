//! Vector fields over flow time, as samplers and density estimators see them.

use advect_kernels::Precision;
use candle_core::{Result, Tensor};

use crate::network::{MeanVelocityNet, Tangent, VelocityNet};

/// One step of flow time, from `from` to `to`; its signed length is `to - from`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Time at the start of the step.
    pub from: f64,
    /// Time at its end.
    pub to: f64,
}

impl Span {
    /// Signed length.
    pub fn length(self) -> f64 {
        self.to - self.from
    }
}

/// `n_steps` equal steps of flow time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// First time.
    pub from: f64,
    /// Last time.
    pub to: f64,
    /// Number of steps.
    pub n_steps: usize,
}

impl Grid {
    /// From noise to data in data-up time: 0 to 1.
    pub fn data_up(n_steps: usize) -> Self {
        Self {
            from: 0.0,
            to: 1.0,
            n_steps,
        }
    }

    /// From 1 to 0: noise to data in noise-up time, data to noise in data-up time.
    pub fn downwards(n_steps: usize) -> Self {
        Self {
            from: 1.0,
            to: 0.0,
            n_steps,
        }
    }

    /// The steps, in order.
    pub fn spans(self) -> impl Iterator<Item = Span> {
        let at = move |k: usize| self.from + (self.to - self.from) * k as f64 / self.n_steps as f64;
        (0..self.n_steps).map(move |k| Span {
            from: at(k),
            to: at(k + 1),
        })
    }
}

/// A field `f(x; from, to)` whose step is `x + (to - from) f`.
///
/// For an instantaneous velocity `f = v(x, from)`; for an average velocity `f = u(x, r = to, t = from)`, and
/// the step is exact when `u` is.
pub trait Field {
    /// The field at `x`.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor>;
}

/// A field with derivatives in `x`, rows independent: `x` is `[B, d]`.
pub trait DifferentiableField: Field {
    /// Value and derivative along `x_dot`, without gradient.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn jvp(&self, x: &Tensor, span: Span, x_dot: &Tensor) -> Result<(Tensor, Tensor)>;

    /// Value `[B, d]` and Jacobian `[B, d, d]` (row = output), without gradient.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn jacobian(&self, x: &Tensor, span: Span) -> Result<(Tensor, Tensor)>;
}

/// A network with its parameters and the states that it is conditioned on, one latent per state.
///
/// [`Field::value`] is differentiable in the parameters and the latent.
#[derive(Debug, Clone, Copy)]
pub struct Conditional<'a, N> {
    /// The network.
    pub net: &'a N,
    /// Its parameters `[P]`.
    pub params: &'a Tensor,
    /// States `[B, o]`.
    pub obs: &'a Tensor,
}

/// As [`Conditional`] with `P` latents `[B, P, d]` per state, without gradient.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a, N> {
    /// The network.
    pub net: &'a N,
    /// Its parameters `[P]`.
    pub params: &'a Tensor,
    /// States `[B, o]`.
    pub obs: &'a Tensor,
    /// Arithmetic.
    pub precision: Precision,
}

/// A time shared by all rows, shape `[1]`.
fn shared(time: f64, like: &Tensor) -> Result<Tensor> {
    Tensor::new(&[time as f32], like.device())
}

impl Field for Conditional<'_, VelocityNet> {
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
        self.net
            .forward(self.params, self.obs, x, &shared(span.from, x)?)
    }
}

impl DifferentiableField for Conditional<'_, VelocityNet> {
    fn jvp(&self, x: &Tensor, span: Span, x_dot: &Tensor) -> Result<(Tensor, Tensor)> {
        self.net
            .jvp(self.params, self.obs, x, &shared(span.from, x)?, x_dot, 0.0)
    }

    fn jacobian(&self, x: &Tensor, span: Span) -> Result<(Tensor, Tensor)> {
        self.net
            .jacobian(self.params, self.obs, x, &shared(span.from, x)?)
    }
}

impl Field for Conditional<'_, MeanVelocityNet> {
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
        let (r, t) = (shared(span.to, x)?, shared(span.from, x)?);
        self.net.forward(self.params, self.obs, x, &r, &t)
    }
}

impl DifferentiableField for Conditional<'_, MeanVelocityNet> {
    fn jvp(&self, x: &Tensor, span: Span, x_dot: &Tensor) -> Result<(Tensor, Tensor)> {
        let (r, t) = (shared(span.to, x)?, shared(span.from, x)?);
        let tangent = Tangent {
            z: x_dot,
            r: 0.0,
            t: 0.0,
        };
        self.net.jvp(self.params, self.obs, x, &r, &t, tangent)
    }

    fn jacobian(&self, x: &Tensor, span: Span) -> Result<(Tensor, Tensor)> {
        let (r, t) = (shared(span.to, x)?, shared(span.from, x)?);
        self.net.jacobian(self.params, self.obs, x, &r, &t)
    }
}

impl Field for Candidates<'_, VelocityNet> {
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
        let tau = shared(span.from, x)?;
        self.net
            .candidates(self.params, self.obs, x, &tau, self.precision)
    }
}

impl Field for Candidates<'_, MeanVelocityNet> {
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
        let (r, t) = (shared(span.to, x)?, shared(span.from, x)?);
        self.net
            .candidates(self.params, self.obs, x, &r, &t, self.precision)
    }
}
