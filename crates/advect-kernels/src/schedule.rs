//! Learning rates as functions of the step.

/// A learning-rate schedule; steps count from 0, before the first update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// The same rate at every step.
    Constant {
        /// The rate.
        lr: f64,
    },
    /// `lr + (lr_end - lr) clamp((step - begin) / duration, 0, 1)`.
    Linear {
        /// Rate up to step `begin`.
        lr: f64,
        /// Rate from step `begin + duration` on.
        lr_end: f64,
        /// Last step at the first rate.
        begin: u64,
        /// Steps of the transition; 0 is a jump at `begin`.
        duration: u64,
    },
    /// `lr min(1, (step + 1) / warmup)`: the first step has rate `lr / warmup`.
    Warmup {
        /// Rate after the warm-up.
        lr: f64,
        /// Steps of the warm-up; 0 is none.
        warmup: u64,
    },
    /// [`Schedule::Warmup`], then half a cosine from `lr` to `lr_end` that ends at step `total` (Loshchilov and Hutter 2017, eq. 5).
    WarmupCosine {
        /// Rate after the warm-up.
        lr: f64,
        /// Rate from step `total` on.
        lr_end: f64,
        /// Steps of the warm-up; 0 is none.
        warmup: u64,
        /// Step at which the rate has come down.
        total: u64,
    },
    /// Cycles of `period` steps, all alike: linear from `lr_min` to `lr`, then half a cosine back to `lr_min` (Loshchilov and Hutter
    /// 2017, eq. 5, with a warm-up in every cycle).
    CosineCycles {
        /// Rate at the end of a warm-up.
        lr: f64,
        /// Rate at the start of a cycle and towards its end.
        lr_min: f64,
        /// Steps of the warm-up; 0 is none.
        warmup: u64,
        /// Steps of a cycle.
        period: u64,
    },
}

impl From<f64> for Schedule {
    fn from(lr: f64) -> Self {
        Self::Constant { lr }
    }
}

impl Schedule {
    /// The rate at `step`.
    ///
    /// ```
    /// let schedule = advect_kernels::Schedule::Linear { lr: 1.0, lr_end: 0.0, begin: 2, duration: 4 };
    /// assert_eq!(schedule.at(3), 0.75);
    /// ```
    pub fn at(&self, step: u64) -> f64 {
        match *self {
            Self::Constant { lr } => lr,
            Self::Linear {
                lr,
                lr_end,
                begin,
                duration,
            } => lr + (lr_end - lr) * fraction(step, begin, duration),
            Self::Warmup { lr, warmup } => lr * ramp(step, warmup),
            Self::WarmupCosine { lr, warmup, .. } if step < warmup => lr * ramp(step, warmup),
            Self::WarmupCosine {
                lr,
                lr_end,
                warmup,
                total,
            } => {
                let phase = fraction(step, warmup, total.saturating_sub(warmup));
                half_cosine(lr, lr_end, phase)
            }
            Self::CosineCycles {
                lr,
                lr_min,
                warmup,
                period,
            } => match step % period.max(1) {
                step if step < warmup => lr_min + (lr - lr_min) * fraction(step, 0, warmup),
                step => {
                    let phase = fraction(step, warmup, period.saturating_sub(warmup));
                    half_cosine(lr, lr_min, phase)
                }
            },
        }
    }
}

/// `clamp((step - begin) / duration, 0, 1)`.
fn fraction(step: u64, begin: u64, duration: u64) -> f64 {
    let done = step.saturating_sub(begin);
    if duration == 0 {
        return if step >= begin { 1.0 } else { 0.0 };
    }
    (done as f64 / duration as f64).min(1.0)
}

/// From `first` at phase 0 to `last` at phase 1.
fn half_cosine(first: f64, last: f64, phase: f64) -> f64 {
    last + (first - last) * 0.5 * (1.0 + (std::f64::consts::PI * phase).cos())
}

fn ramp(step: u64, warmup: u64) -> f64 {
    if step >= warmup {
        1.0
    } else {
        (step + 1) as f64 / warmup as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_holds_then_falls_then_holds() {
        let schedule = Schedule::Linear {
            lr: 3.0,
            lr_end: 1.0,
            begin: 10,
            duration: 4,
        };
        let rates: Vec<f64> = [0, 10, 11, 12, 14, 1000].map(|i| schedule.at(i)).to_vec();
        assert_eq!(rates, [3.0, 3.0, 2.5, 2.0, 1.0, 1.0]);
        let jump = Schedule::Linear {
            lr: 3.0,
            lr_end: 1.0,
            begin: 10,
            duration: 0,
        };
        assert_eq!([jump.at(9), jump.at(10)], [3.0, 1.0]);
    }

    #[test]
    fn warmup_starts_at_one_share_and_ends_at_the_rate() {
        let schedule = Schedule::Warmup { lr: 2.0, warmup: 4 };
        assert_eq!(
            [0, 1, 3, 4, 99].map(|i| schedule.at(i)),
            [0.5, 1.0, 2.0, 2.0, 2.0]
        );
        assert_eq!(Schedule::Warmup { lr: 2.0, warmup: 0 }.at(0), 2.0);
        assert_eq!(Schedule::Constant { lr: 0.5 }.at(7), 0.5);
    }

    #[test]
    fn cosine_comes_down_to_the_last_rate() {
        let schedule = Schedule::WarmupCosine {
            lr: 1.0,
            lr_end: 0.2,
            warmup: 2,
            total: 10,
        };
        assert_eq!(
            [schedule.at(0), schedule.at(1), schedule.at(2)],
            [0.5, 1.0, 1.0]
        );
        assert!((schedule.at(6) - 0.6).abs() < 1e-12, "half way is the mean");
        assert_eq!([schedule.at(10), schedule.at(11)], [0.2, 0.2]);
        assert!((2..10).all(|i| schedule.at(i + 1) < schedule.at(i)));
    }

    #[test]
    fn cycles_rise_and_fall_between_the_same_rates() {
        let schedule = Schedule::CosineCycles {
            lr: 1.0,
            lr_min: 0.2,
            warmup: 4,
            period: 12,
        };
        for start in [0, 12, 120] {
            let at = |i: u64| schedule.at(start + i);
            // half way up and half way down is the mean
            for (i, expected) in [(0, 0.2), (2, 0.6), (4, 1.0), (8, 0.6)] {
                assert!((at(i) - expected).abs() < 1e-12, "{i}: {}", at(i));
            }
            assert!((4..11).all(|i| at(i + 1) < at(i)) && at(11) > 0.2);
        }
        let steady = Schedule::CosineCycles {
            lr: 1.0,
            lr_min: 0.2,
            warmup: 0,
            period: 1,
        };
        assert_eq!([0, 1, 2].map(|i| steady.at(i)), [1.0; 3]);
    }
}
