//! Explicit integration of `dx/dt = v(x, t)` over any velocity field, with or without a log-density accumulator.
//!
//! Steps are made of tensor operations, so gradients flow through an unrolled integration when the field tracks them.
//! Trajectories are seen by an observer or recorded when asked for, never kept otherwise.

use candle_core::{DType, Result, Tensor};

/// Why an integration stopped.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum OdeError {
    /// A fixed-step integration was asked for zero steps.
    #[error("integration from t = {start} to {end}: 0 steps; ask for at least one")]
    NoSteps {
        /// Start time.
        start: f64,
        /// End time.
        end: f64,
    },
    /// The adaptive solver used up its steps.
    #[error(
        "adaptive integration: {steps} steps used up at t = {t} with step {h:e}; raise max_steps or loosen rtol and atol"
    )]
    MaxSteps {
        /// Steps tried.
        steps: usize,
        /// Time reached.
        t: f64,
        /// Size of the next step.
        h: f64,
    },
    /// The step became too small to advance the time: the field is not finite or has a singularity here.
    #[error(
        "adaptive integration: step {h:e} at t = {t} no longer advances the time; the field is singular or not finite here"
    )]
    StepTooSmall {
        /// Time reached.
        t: f64,
        /// The step.
        h: f64,
    },
}

impl From<OdeError> for candle_core::Error {
    fn from(error: OdeError) -> Self {
        Self::wrap(error)
    }
}

/// The time interval, which may run backwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Start time.
    pub start: f64,
    /// End time.
    pub end: f64,
}

impl Span {
    /// The interval from `start` to `end`.
    pub fn new(start: f64, end: f64) -> Self {
        Self { start, end }
    }

    fn direction(&self) -> f64 {
        if self.end < self.start { -1.0 } else { 1.0 }
    }
}

/// What a solver moves: a tensor, or a tensor and the accumulator that goes with it.
pub trait State: Clone {
    /// `self + sum_i c_i k_i`; terms with `c_i = 0` are skipped.
    ///
    /// # Errors
    /// If shapes or types differ.
    fn combine(&self, terms: &[(f64, &Self)]) -> Result<Self>;

    /// Largest root mean square over the rows of `error / (atol + rtol max(|self|, |next|))`.
    ///
    /// # Errors
    /// If shapes or types differ.
    fn error_ratio(&self, next: &Self, error: &Self, tolerance: &Tolerance) -> Result<f64>;
}

impl State for Tensor {
    fn combine(&self, terms: &[(f64, &Self)]) -> Result<Self> {
        let mut sum = self.clone();
        for (c, k) in terms.iter().filter(|(c, _)| *c != 0.0) {
            sum = (sum + k.affine(*c, 0.0)?)?;
        }
        Ok(sum)
    }

    fn error_ratio(&self, next: &Self, error: &Self, tolerance: &Tolerance) -> Result<f64> {
        let double = |x: &Self| x.detach().to_dtype(DType::F64);
        let magnitude = double(self)?.abs()?.maximum(&double(next)?.abs()?)?;
        let scale = magnitude.affine(tolerance.rtol, tolerance.atol)?;
        let squares = (double(error)? / scale)?.sqr()?;
        let rows = if squares.rank() > 1 {
            squares.mean(squares.rank() - 1)?
        } else {
            squares
        };
        let worst =
            rows.flatten_all()?
                .to_vec1::<f64>()?
                .into_iter()
                .fold(0.0, |worst: f64, row| {
                    if row.is_nan() {
                        row
                    } else if worst.is_nan() {
                        worst
                    } else {
                        worst.max(row)
                    }
                });
        Ok(worst.sqrt())
    }
}

impl State for (Tensor, Tensor) {
    fn combine(&self, terms: &[(f64, &Self)]) -> Result<Self> {
        let first: Vec<_> = terms.iter().map(|(c, k)| (*c, &k.0)).collect();
        let second: Vec<_> = terms.iter().map(|(c, k)| (*c, &k.1)).collect();
        Ok((self.0.combine(&first)?, self.1.combine(&second)?))
    }

    fn error_ratio(&self, next: &Self, error: &Self, tolerance: &Tolerance) -> Result<f64> {
        let first = self.0.error_ratio(&next.0, &error.0, tolerance)?;
        let second = self.1.error_ratio(&next.1, &error.1, tolerance)?;
        Ok(if first.is_nan() {
            first
        } else {
            first.max(second)
        })
    }
}

/// Explicit methods with a fixed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// `x + h v(x, t)`; order 1, one evaluation per step.
    Euler,
    /// `x + h v(x + h/2 v(x, t), t + h/2)`; order 2, two evaluations.
    Midpoint,
    /// `x + h/2 (k + v(x + h k, t + h))`, `k = v(x, t)`; order 2, two evaluations.
    Heun,
    /// Classical Runge-Kutta; order 4, four evaluations.
    Rk4,
}

impl Solver {
    /// Order of convergence.
    pub fn order(self) -> u32 {
        match self {
            Self::Euler => 1,
            Self::Midpoint | Self::Heun => 2,
            Self::Rk4 => 4,
        }
    }

    /// Evaluations of the field per step.
    pub fn evaluations(self) -> usize {
        match self {
            Self::Euler => 1,
            Self::Midpoint | Self::Heun => 2,
            Self::Rk4 => 4,
        }
    }

    /// One step of size `h` from `(x, t)`.
    ///
    /// # Errors
    /// If the field fails.
    pub fn step<S: State>(
        self,
        x: &S,
        t: f64,
        h: f64,
        field: &mut impl FnMut(&S, f64) -> Result<S>,
    ) -> Result<S> {
        let k1 = field(x, t)?;
        match self {
            Self::Euler => x.combine(&[(h, &k1)]),
            Self::Midpoint => {
                let k2 = field(&x.combine(&[(0.5 * h, &k1)])?, t + 0.5 * h)?;
                x.combine(&[(h, &k2)])
            }
            Self::Heun => {
                let k2 = field(&x.combine(&[(h, &k1)])?, t + h)?;
                x.combine(&[(0.5 * h, &k1), (0.5 * h, &k2)])
            }
            Self::Rk4 => {
                let k2 = field(&x.combine(&[(0.5 * h, &k1)])?, t + 0.5 * h)?;
                let k3 = field(&x.combine(&[(0.5 * h, &k2)])?, t + 0.5 * h)?;
                let k4 = field(&x.combine(&[(h, &k3)])?, t + h)?;
                let (outer, inner) = (h / 6.0, h / 3.0);
                x.combine(&[(outer, &k1), (inner, &k2), (inner, &k3), (outer, &k4)])
            }
        }
    }
}

/// Integrates with `steps` equal steps, `t_n = start + n h`, and returns the end point.
///
/// `observe` sees `(n, t_n, x_n)` for `n = 0..=steps`.
///
/// # Errors
/// [`OdeError::NoSteps`], or what the field or the observer returns.
pub fn integrate_observed<S: State>(
    solver: Solver,
    x0: &S,
    span: Span,
    steps: usize,
    mut field: impl FnMut(&S, f64) -> Result<S>,
    mut observe: impl FnMut(usize, f64, &S) -> Result<()>,
) -> Result<S> {
    let Span { start, end } = span;
    if steps == 0 {
        return Err(OdeError::NoSteps { start, end }.into());
    }
    let h = (end - start) / steps as f64;
    let mut x = x0.clone();
    observe(0, start, &x)?;
    for n in 0..steps {
        x = solver.step(&x, start + n as f64 * h, h, &mut field)?;
        observe(n + 1, start + (n + 1) as f64 * h, &x)?;
    }
    Ok(x)
}

/// Integrates `dx/dt = v(x, t)` with `steps` equal steps and returns the end point.
///
/// ```
/// use advect_kernels::ode::{Solver, Span, integrate};
/// use candle_core::{Device, Tensor};
/// let x0 = Tensor::new(&[[1f64, 2.0]], &Device::Cpu)?;
/// let x1 = integrate(Solver::Rk4, &x0, Span::new(0.0, 1.0), 20, |x, _t| x.neg())?;
/// let decay = x1.to_vec2::<f64>()?[0][1] / 2.0;
/// assert!((decay - (-1f64).exp()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// See [`integrate_observed`].
pub fn integrate<S: State>(
    solver: Solver,
    x0: &S,
    span: Span,
    steps: usize,
    field: impl FnMut(&S, f64) -> Result<S>,
) -> Result<S> {
    integrate_observed(solver, x0, span, steps, field, |_, _, _| Ok(()))
}

/// As [`integrate`], and keeps all `steps + 1` points `x_0 ..= x_N`.
///
/// # Errors
/// See [`integrate_observed`].
pub fn trajectory<S: State>(
    solver: Solver,
    x0: &S,
    span: Span,
    steps: usize,
    field: impl FnMut(&S, f64) -> Result<S>,
) -> Result<Vec<S>> {
    let mut points = Vec::with_capacity(steps + 1);
    integrate_observed(solver, x0, span, steps, field, |_, _, x| {
        points.push(x.clone());
        Ok(())
    })?;
    Ok(points)
}

/// Integrates the field and its divergence together: `(x_N, integral of div v dt)`.
///
/// `field` returns `(v, div)` with `div [B]` for `x [B, ..]`. The log-density follows as `log p(x_N) = log p(x_0) - integral`
/// (instantaneous change of variables, Chen et al. 2018, eq. 8). The accumulator has the solver's own order; for Euler it is
/// `sum_n h div(x_n, t_n)`.
///
/// # Errors
/// See [`integrate_observed`].
pub fn integrate_divergence(
    solver: Solver,
    x0: &Tensor,
    span: Span,
    steps: usize,
    mut field: impl FnMut(&Tensor, f64) -> Result<(Tensor, Tensor)>,
) -> Result<(Tensor, Tensor)> {
    let start = (x0.clone(), zero_accumulator(x0)?);
    integrate(solver, &start, span, steps, |(x, _), t| field(x, t))
}

fn zero_accumulator(x: &Tensor) -> Result<Tensor> {
    Tensor::zeros(x.dim(0)?, x.dtype(), x.device())
}

/// Error tolerance of an adaptive solver: `atol + rtol |x|` per coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Relative part.
    pub rtol: f64,
    /// Absolute part.
    pub atol: f64,
}

/// Adaptive Dormand-Prince 5(4) with local extrapolation, last evaluation reused and a PI step controller.
///
/// A step is accepted when the worst row's root mean square error is within the tolerance, so the accuracy of a row does not
/// depend on the rows beside it.
///
/// Source: Dormand and Prince 1980; controller of Hairer, Norsett, Wanner, "Solving ODEs I", section IV.2 (beta = 0.04).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DormandPrince {
    /// Error tolerance.
    pub tolerance: Tolerance,
    /// Steps tried, rejected ones included, before [`OdeError::MaxSteps`].
    pub max_steps: usize,
    /// Size of the first step; `None` estimates it from the field.
    pub first_step: Option<f64>,
}

impl Default for DormandPrince {
    fn default() -> Self {
        Self {
            tolerance: Tolerance {
                rtol: 1e-5,
                atol: 1e-6,
            },
            max_steps: 10_000,
            first_step: None,
        }
    }
}

/// The work of an adaptive integration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdaptiveStats {
    /// Accepted steps.
    pub accepted: usize,
    /// Rejected steps.
    pub rejected: usize,
    /// Evaluations of the field.
    pub evaluations: usize,
}

/// Nodes of the stages 2..=7.
const NODES: [f64; 6] = [1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];
/// Weights of the earlier stages in stages 2..=7; the last row is the fifth-order solution.
const STAGES: [[f64; 6]; 6] = [
    [1.0 / 5.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [3.0 / 40.0, 9.0 / 40.0, 0.0, 0.0, 0.0, 0.0],
    [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0, 0.0, 0.0, 0.0],
    [
        19372.0 / 6561.0,
        -25360.0 / 2187.0,
        64448.0 / 6561.0,
        -212.0 / 729.0,
        0.0,
        0.0,
    ],
    [
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
        0.0,
    ],
    [
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];
/// Fifth-order minus fourth-order weights.
const ERROR: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// What one trial step gives: the new point, the field there, the scaled error.
struct Trial<S> {
    x: S,
    slope: S,
    ratio: f64,
}

/// The PI controller's memory.
struct Controller {
    last_ratio: f64,
    rejected: bool,
}

impl Controller {
    const SAFETY: f64 = 0.9;
    const BETA: f64 = 0.04;
    const ALPHA: f64 = 0.2 - 0.75 * Self::BETA;

    /// Factor for the next step after an accepted one with this error ratio.
    fn accept(&mut self, ratio: f64) -> f64 {
        let ratio = ratio.max(1e-10);
        let factor = Self::SAFETY * ratio.powf(-Self::ALPHA) * self.last_ratio.powf(Self::BETA);
        let largest = if self.rejected { 1.0 } else { 10.0 };
        (self.last_ratio, self.rejected) = (ratio.max(1e-4), false);
        factor.clamp(0.2, largest)
    }

    /// Factor for the repetition of a rejected step; a ratio that is not finite shrinks the step tenfold.
    fn reject(&mut self, ratio: f64) -> f64 {
        self.rejected = true;
        if !ratio.is_finite() {
            return 0.1;
        }
        (Self::SAFETY * ratio.powf(-Self::ALPHA)).clamp(0.2, 0.9)
    }
}

impl DormandPrince {
    /// Integrates `dx/dt = v(x, t)` over the span; `observe` sees `(n, t_n, x_n)` at the start and after every accepted step.
    ///
    /// # Errors
    /// [`OdeError::MaxSteps`], [`OdeError::StepTooSmall`], or what the field or the observer returns.
    pub fn integrate_observed<S: State>(
        &self,
        x0: &S,
        span: Span,
        mut field: impl FnMut(&S, f64) -> Result<S>,
        mut observe: impl FnMut(usize, f64, &S) -> Result<()>,
    ) -> Result<(S, AdaptiveStats)> {
        let (mut x, mut t) = (x0.clone(), span.start);
        observe(0, t, &x)?;
        let mut stats = AdaptiveStats {
            evaluations: 1,
            ..AdaptiveStats::default()
        };
        let mut slope = field(&x, t)?;
        let mut h = self.first_step(&x, &slope, span)?;
        let mut controller = Controller {
            last_ratio: 1e-4,
            rejected: false,
        };
        while t != span.end {
            let (step, last) = self.next_step(t, h, span, &stats)?;
            let trial = self.trial(&x, &slope, t, step, &mut field)?;
            stats.evaluations += 6;
            if trial.ratio <= 1.0 {
                (x, slope) = (trial.x, trial.slope);
                t = if last { span.end } else { t + step };
                stats.accepted += 1;
                observe(stats.accepted, t, &x)?;
                h = step * controller.accept(trial.ratio);
            } else {
                stats.rejected += 1;
                h = step * controller.reject(trial.ratio);
            }
        }
        Ok((x, stats))
    }

    /// As [`DormandPrince::integrate_observed`] without an observer.
    ///
    /// # Errors
    /// See [`DormandPrince::integrate_observed`].
    pub fn integrate<S: State>(
        &self,
        x0: &S,
        span: Span,
        field: impl FnMut(&S, f64) -> Result<S>,
    ) -> Result<(S, AdaptiveStats)> {
        self.integrate_observed(x0, span, field, |_, _, _| Ok(()))
    }

    /// The end point and the integral of the divergence, both under error control; see [`integrate_divergence`].
    ///
    /// # Errors
    /// See [`DormandPrince::integrate_observed`].
    pub fn integrate_divergence(
        &self,
        x0: &Tensor,
        span: Span,
        mut field: impl FnMut(&Tensor, f64) -> Result<(Tensor, Tensor)>,
    ) -> Result<((Tensor, Tensor), AdaptiveStats)> {
        let start = (x0.clone(), zero_accumulator(x0)?);
        self.integrate(&start, span, |(x, _), t| field(x, t))
    }

    /// The signed first step: as given, or a hundredth of the time in which the field moves the state by its own size.
    fn first_step<S: State>(&self, x: &S, slope: &S, span: Span) -> Result<f64> {
        let length = (span.end - span.start).abs();
        let estimate = match self.first_step {
            Some(h) => h.abs(),
            None => {
                let size = x.error_ratio(x, x, &self.tolerance)?;
                let speed = x.error_ratio(x, slope, &self.tolerance)?;
                let usable = size >= 1e-5 && speed >= 1e-5 && speed.is_finite();
                if usable { 0.01 * size / speed } else { 1e-6 }
            }
        };
        Ok(estimate.min(length) * span.direction())
    }

    /// The step to try, cut at the end of the span, and whether it ends there.
    fn next_step(&self, t: f64, h: f64, span: Span, stats: &AdaptiveStats) -> Result<(f64, bool)> {
        let steps = stats.accepted + stats.rejected;
        if steps >= self.max_steps {
            return Err(OdeError::MaxSteps { steps, t, h }.into());
        }
        let remaining = span.end - t;
        if h.abs() >= remaining.abs() * (1.0 - 1e-12) {
            return Ok((remaining, true));
        }
        if t + h == t || !h.is_finite() {
            return Err(OdeError::StepTooSmall { t, h }.into());
        }
        Ok((h, false))
    }

    fn trial<S: State>(
        &self,
        x: &S,
        slope: &S,
        t: f64,
        h: f64,
        field: &mut impl FnMut(&S, f64) -> Result<S>,
    ) -> Result<Trial<S>> {
        let mut slopes = vec![slope.clone()];
        let mut point = x.clone();
        for (node, weights) in NODES.iter().zip(&STAGES) {
            point = x.combine(&scaled(h, weights, &slopes))?;
            slopes.push(field(&point, t + node * h)?);
        }
        let error = difference(h, &slopes)?;
        let ratio = x.error_ratio(&point, &error, &self.tolerance)?;
        let slope = slopes.swap_remove(6);
        Ok(Trial {
            x: point,
            slope,
            ratio,
        })
    }
}

fn scaled<'a, S>(h: f64, weights: &[f64], slopes: &'a [S]) -> Vec<(f64, &'a S)> {
    weights
        .iter()
        .zip(slopes)
        .map(|(w, k)| (h * w, k))
        .collect()
}

/// `h` times the difference of the two solutions of a step.
fn difference<S: State>(h: f64, slopes: &[S]) -> Result<S> {
    let mut terms = scaled(h, &ERROR, slopes);
    terms[0].0 -= 1.0; // the sum starts from the first slope itself
    slopes[0].combine(&terms)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const SOLVERS: [Solver; 4] = [Solver::Euler, Solver::Midpoint, Solver::Heun, Solver::Rk4];

    fn start() -> Result<Tensor> {
        Tensor::new(&[[1.0f64, 0.25], [-0.5, 2.0], [0.1, -0.7]], &Device::Cpu)
    }

    /// dx/dt = -x + sin t, whose solution is (x0 + 1/2) e^-t + (sin t - cos t) / 2.
    fn forced_decay(x: &Tensor, t: f64) -> Result<Tensor> {
        x.affine(-1.0, t.sin())
    }

    fn forced_decay_solution(x0: &Tensor, t: f64) -> Result<Tensor> {
        x0.affine((-t).exp(), 0.5 * (-t).exp() + 0.5 * (t.sin() - t.cos()))
    }

    /// The logistic field, nonlinear: x0 e^t / (1 + x0 (e^t - 1)).
    fn logistic(x: &Tensor, _t: f64) -> Result<Tensor> {
        x * x.affine(-1.0, 1.0)?
    }

    fn distance(a: &Tensor, b: &Tensor) -> Result<f64> {
        (a - b)?.abs()?.max_all()?.to_scalar()
    }

    fn slope_of_errors(
        solver: Solver,
        error: impl Fn(Solver, usize) -> Result<f64>,
    ) -> Result<f64> {
        Ok((error(solver, 16)? / error(solver, 32)?).log2())
    }

    #[test]
    fn fixed_solvers_converge_with_their_order_forwards_and_backwards() -> Result<()> {
        let x0 = start()?;
        for (from, to) in [(0.0, 1.5), (1.2, 0.0)] {
            let at = |t: f64| forced_decay_solution(&x0, t);
            let error = |solver: Solver, steps: usize| -> Result<f64> {
                let end = integrate(solver, &at(from)?, Span::new(from, to), steps, forced_decay)?;
                distance(&end, &at(to)?)
            };
            for solver in SOLVERS {
                let order = slope_of_errors(solver, error)?;
                assert!(
                    (order - f64::from(solver.order())).abs() < 0.3,
                    "{solver:?}: order {order}"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn fixed_solvers_converge_on_a_nonlinear_field() -> Result<()> {
        let x0 = Tensor::new(&[[0.1f64, 0.4], [0.8, 1.5]], &Device::Cpu)?;
        let growth = 2f64.exp();
        let exact = (x0.affine(growth, 0.0)? / x0.affine(growth - 1.0, 1.0)?)?;
        let error = |solver: Solver, steps: usize| -> Result<f64> {
            distance(
                &integrate(solver, &x0, Span::new(0.0, 2.0), steps, logistic)?,
                &exact,
            )
        };
        for solver in SOLVERS {
            let order = slope_of_errors(solver, error)?;
            assert!(
                (order - f64::from(solver.order())).abs() < 0.4,
                "{solver:?}: order {order}"
            );
        }
        Ok(())
    }

    /// dx/dt = x^2 t: div = 2 t sum x, x = x0 / (1 - x0 t^2 / 2), integral of div = -2 sum ln(1 - x0 t^2 / 2).
    #[test]
    fn divergence_accumulates_with_the_order_of_the_solver() -> Result<()> {
        let x0 = start()?.affine(0.5, 0.0)?;
        let field = |x: &Tensor, t: f64| -> Result<(Tensor, Tensor)> {
            Ok((x.sqr()?.affine(t, 0.0)?, x.sum(1)?.affine(2.0 * t, 0.0)?))
        };
        let shrink = x0.affine(-0.5, 1.0)?;
        let (exact_x, exact_sum) = ((&x0 / &shrink)?, shrink.log()?.sum(1)?.affine(-2.0, 0.0)?);
        let span = Span::new(0.0, 1.0);
        for solver in SOLVERS {
            let error = |solver: Solver, steps: usize| -> Result<f64> {
                let (x, sum) = integrate_divergence(solver, &x0, span, steps, field)?;
                Ok(distance(&x, &exact_x)?.max(distance(&sum, &exact_sum)?))
            };
            let order = slope_of_errors(solver, error)?;
            assert!(
                (order - f64::from(solver.order())).abs() < 0.5,
                "{solver:?}: order {order}"
            );
        }
        let tolerance = Tolerance {
            rtol: 1e-9,
            atol: 1e-9,
        };
        let adaptive = DormandPrince {
            tolerance,
            ..DormandPrince::default()
        };
        let ((x, sum), _) = adaptive.integrate_divergence(&x0, span, field)?;
        assert!(distance(&x, &exact_x)? < 1e-8 && distance(&sum, &exact_sum)? < 1e-8);
        Ok(())
    }

    #[test]
    fn dormand_prince_pair_has_orders_five_and_four() -> Result<()> {
        let x0 = start()?;
        let solver = DormandPrince::default();
        let local = |h: f64| -> Result<(f64, f64)> {
            let slope = forced_decay(&x0, 0.0)?;
            let trial = solver.trial(&x0, &slope, 0.0, h, &mut forced_decay)?;
            let exact = forced_decay_solution(&x0, h)?;
            Ok((distance(&trial.x, &exact)?, trial.ratio))
        };
        let ((coarse, coarse_estimate), (fine, fine_estimate)) = (local(0.4)?, local(0.2)?);
        let (order, estimate) = (
            (coarse / fine).log2(),
            (coarse_estimate / fine_estimate).log2(),
        );
        assert!((order - 6.0).abs() < 0.4, "local order {order}, expected 6");
        assert!(
            (estimate - 5.0).abs() < 0.4,
            "local order of the estimate {estimate}, expected 5"
        );
        Ok(())
    }

    #[test]
    fn adaptive_error_follows_the_tolerance() -> Result<()> {
        let x0 = start()?;
        let mut last = AdaptiveStats::default();
        for tol in [1e-4, 1e-7, 1e-10] {
            let tolerance = Tolerance {
                rtol: tol,
                atol: tol,
            };
            let solver = DormandPrince {
                tolerance,
                ..DormandPrince::default()
            };
            let (end, stats) = solver.integrate(&x0, Span::new(0.0, 6.0), forced_decay)?;
            let error = distance(&end, &forced_decay_solution(&x0, 6.0)?)?;
            assert!(error < 10.0 * tol, "error {error:e} at tolerance {tol:e}");
            assert!(
                stats.accepted > last.accepted,
                "tighter tolerance takes more steps"
            );
            assert_eq!(stats.evaluations, 1 + 6 * (stats.accepted + stats.rejected));
            last = stats;
        }
        Ok(())
    }

    #[test]
    fn adaptive_steps_concentrate_where_the_field_is_fast() -> Result<()> {
        // A Lorentz peak of width 0.01 at t = 0.5: x moves by its area.
        let width = 0.01;
        let peak = |t: f64| 100.0 / (1.0 + ((t - 0.5) / width).powi(2));
        let x0 = Tensor::zeros((2, 1), DType::F64, &Device::Cpu)?;
        let mut times = Vec::new();
        let (end, _) = DormandPrince::default().integrate_observed(
            &x0,
            Span::new(0.0, 1.0),
            |x, t| x.affine(0.0, peak(t)),
            |_, t, _| {
                times.push(t);
                Ok(())
            },
        )?;
        let area = 200.0 * width * (0.5 / width).atan();
        let error = (end.flatten_all()?.to_vec1::<f64>()?[0] - area).abs();
        assert!(error < 1e-3, "area error {error}");
        // Steps per unit of time, in the tenth around the peak and in the rest.
        let near = times.iter().filter(|t| (**t - 0.5).abs() < 0.05).count() as f64;
        let (dense, sparse) = (near / 0.1, (times.len() as f64 - near) / 0.9);
        assert!(dense > 4.0 * sparse, "{dense} and {sparse} steps per unit");
        assert_eq!(times.last(), Some(&1.0));
        Ok(())
    }

    #[test]
    fn trajectories_hold_every_point_when_asked_for() -> Result<()> {
        let x0 = start()?;
        let span = Span::new(1.0, 0.0);
        let points = trajectory(Solver::Heun, &x0, span, 5, forced_decay)?;
        assert_eq!(points.len(), 6);
        assert_eq!(distance(&points[0], &x0)?, 0.0);
        let end = integrate(Solver::Heun, &x0, span, 5, forced_decay)?;
        assert_eq!(distance(&points[5], &end)?, 0.0);
        Ok(())
    }

    #[test]
    fn gradients_flow_through_an_unrolled_integration() -> Result<()> {
        let x0 = candle_core::Var::from_tensor(&start()?)?;
        let end = integrate(
            Solver::Rk4,
            x0.as_tensor(),
            Span::new(0.0, 1.0),
            30,
            forced_decay,
        )?;
        let grads = end.sum_all()?.backward()?;
        let grad = grads
            .get(x0.as_tensor())
            .ok_or_else(|| candle_core::Error::Msg("no gradient".into()))?;
        let error = distance(grad, &grad.ones_like()?.affine((-1f64).exp(), 0.0)?)?;
        assert!(error < 1e-7, "{error:e}");
        Ok(())
    }

    #[test]
    fn failures_say_where_they_happened() -> Result<()> {
        let x0 = start()?;
        let text = integrate(Solver::Euler, &x0, Span::new(0.0, 1.0), 0, forced_decay)
            .unwrap_err()
            .to_string();
        assert!(text.contains("0 steps"), "{text}");
        let few = DormandPrince {
            max_steps: 3,
            ..DormandPrince::default()
        };
        let text = few
            .integrate(&x0, Span::new(0.0, 50.0), forced_decay)
            .unwrap_err()
            .to_string();
        assert!(text.contains("max_steps"), "{text}");
        // x' = x^2 blows up at t = 1 / x0.
        let blow_up = |x: &Tensor, _t: f64| x.sqr();
        let x0 = Tensor::new(&[[1.0f64]], &Device::Cpu)?;
        let error = DormandPrince::default()
            .integrate(&x0, Span::new(0.0, 2.0), blow_up)
            .unwrap_err();
        assert!(
            error.to_string().contains("t = 1") || error.to_string().contains("t = 0.99"),
            "{error}"
        );
        Ok(())
    }
}
