//! Vector fields over flow time, as samplers and density estimators see them.

use advect_kernels::{Precision, pointwise};
use candle_core::{Result, Tensor};

use crate::network::{AtTimes, FlowNet, MeanVelocityNet, Tangent, VelocityNet};

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

    /// The field at several spans, for a sampler that goes through them; a field that has parts of its own for each makes them together.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn at_spans(&self, spans: Vec<Span>) -> Result<Box<dyn AtSpans + '_>>
    where
        Self: Sized,
    {
        let field = self;
        Ok(Box::new(EachSpan { field, spans }))
    }
}

/// A field at the spans that it was asked for, see [`Field::at_spans`].
pub trait AtSpans {
    /// The field at `x` in span `i`.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn value(&self, x: &Tensor, i: usize) -> Result<Tensor>;

    /// The point behind span `i`, `x + (to - from) f`.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn step(&self, x: &Tensor, i: usize) -> Result<Tensor>;
}

/// A field that is asked anew in every span.
struct EachSpan<'a, F> {
    field: &'a F,
    spans: Vec<Span>,
}

impl<F: Field> AtSpans for EachSpan<'_, F> {
    fn value(&self, x: &Tensor, i: usize) -> Result<Tensor> {
        self.field.value(x, self.spans[i])
    }

    fn step(&self, x: &Tensor, i: usize) -> Result<Tensor> {
        pointwise::step(x, &self.value(x, i)?, self.spans[i].length())
    }
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

/// The flow times at which a network is asked for the field of one step.
pub trait StepTimes<const T: usize> {
    /// The times, in the order of the network's inputs.
    fn times(span: Span) -> [f64; T];
}

/// A velocity is taken at the step's start.
impl StepTimes<1> for VelocityNet {
    fn times(span: Span) -> [f64; 1] {
        [span.from]
    }
}

/// An average velocity spans the step: `r = to`, `t = from`.
impl StepTimes<2> for MeanVelocityNet {
    fn times(span: Span) -> [f64; 2] {
        [span.to, span.from]
    }
}

/// The times of a step, each of shape `[1]`: shared by all rows.
fn shared<const T: usize>(span: Span, like: &Tensor) -> Result<Vec<Tensor>>
where
    FlowNet<T>: StepTimes<T>,
{
    let tensor = |time: f64| Tensor::new(&[time as f32], like.device());
    FlowNet::<T>::times(span).into_iter().map(tensor).collect()
}

fn each<const T: usize>(times: &[Tensor]) -> [&Tensor; T] {
    std::array::from_fn(|i| &times[i])
}

impl<const T: usize> Field for Conditional<'_, FlowNet<T>>
where
    FlowNet<T>: StepTimes<T>,
{
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
        let times = shared::<T>(span, x)?;
        self.net.forward(self.params, self.obs, x, each(&times))
    }
}

impl<const T: usize> DifferentiableField for Conditional<'_, FlowNet<T>>
where
    FlowNet<T>: StepTimes<T>,
{
    fn jvp(&self, x: &Tensor, span: Span, x_dot: &Tensor) -> Result<(Tensor, Tensor)> {
        let times = shared::<T>(span, x)?;
        let tangent = Tangent {
            z: x_dot,
            times: [0.0; T],
        };
        self.net
            .jvp(self.params, self.obs, x, each(&times), tangent)
    }

    fn jacobian(&self, x: &Tensor, span: Span) -> Result<(Tensor, Tensor)> {
        let times = shared::<T>(span, x)?;
        self.net.jacobian(self.params, self.obs, x, each(&times))
    }
}

impl<const T: usize> Field for Candidates<'_, FlowNet<T>>
where
    FlowNet<T>: StepTimes<T>,
{
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
        let times = shared::<T>(span, x)?;
        let times = each(&times);
        self.net
            .candidates(self.params, self.obs, x, times, self.precision)
    }

    fn at_spans(&self, spans: Vec<Span>) -> Result<Box<dyn AtSpans + '_>> {
        let times: Vec<[f64; T]> = spans.iter().copied().map(FlowNet::<T>::times).collect();
        Ok(Box::new(CandidatesAtSpans {
            at: self.net.at_times(self.params, self.obs, &times)?,
            spans,
            precision: self.precision,
        }))
    }
}

/// [`Candidates`] with the embeddings of all spans.
struct CandidatesAtSpans<'a, const T: usize> {
    at: AtTimes<'a, T>,
    spans: Vec<Span>,
    precision: Precision,
}

impl<const T: usize> AtSpans for CandidatesAtSpans<'_, T> {
    fn value(&self, x: &Tensor, i: usize) -> Result<Tensor> {
        self.at.candidates(x, i, self.precision)
    }

    fn step(&self, x: &Tensor, i: usize) -> Result<Tensor> {
        self.at.step(x, i, self.spans[i].length(), self.precision)
    }
}
