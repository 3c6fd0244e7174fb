//! Dual steps: the entropy's multiplier and the temperature of the mirror step (fmer.md sections 5.5 and 6).

/// Bounds of a positive number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Bounds {
    /// Logarithms of both.
    pub fn logs(self) -> (f64, f64) {
        (self.min.ln(), self.max.ln())
    }

    /// Both moved up by `shift`.
    #[must_use]
    pub fn above(self, shift: f64) -> Self {
        Self {
            min: self.min + shift,
            max: self.max + shift,
        }
    }

    /// The logarithm within the bounds; NaN stays, so that the loop sees it.
    fn clip_log(self, log_value: f64) -> f64 {
        let (low, high) = self.logs();
        match log_value {
            value if value < low => low,
            value if value > high => high,
            value => value,
        }
    }
}

/// `log alpha <- clip(log alpha - lr (H - H_target))`: falls while the entropy is above its target.
pub fn alpha_step(log_alpha: f64, entropy: f64, target: f64, lr: f64, bounds: Bounds) -> f64 {
    bounds.clip_log(log_alpha - lr * (entropy - target))
}

/// `log T <- clip(log T + lr (rho - e))`: rises while the effective sample size is below its target.
pub fn temperature_step(
    log_temperature: f64,
    ess_fraction: f64,
    target: f64,
    lr: f64,
    bounds: Bounds,
) -> f64 {
    bounds.clip_log(log_temperature + lr * (target - ess_fraction))
}

/// `log T <- (1 - rate) log T + rate log T_solved`.
pub fn smoothed(log_temperature: f64, solved: f64, rate: f64) -> f64 {
    log_temperature + rate * (solved.ln() - log_temperature)
}

/// `max(log T, log(kappa q_gap))`, which may exceed the largest temperature: a temperature below the critics' disagreement would amplify their noise.
pub fn floored(log_temperature: f64, kappa: f64, q_gap: f64) -> f64 {
    log_temperature.max((kappa * q_gap).ln())
}
