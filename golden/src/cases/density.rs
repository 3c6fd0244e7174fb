//! `ode.logdensity`: change of variables along Euler steps.

use advect_flow::density::{Volume, standard_normal_log_prob, transport};
use advect_flow::{DifferentiableField, Field, Grid, Span};
use advect_kernels::{Mlp, ParamLayout, Params};
use candle_core::Tensor;

use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[("ode.logdensity", logdensity)];

/// The velocity v(x, t, s) of the files: an MLP on concat(x, s, t).
pub(super) struct Net {
    mlp: Mlp,
    params: Params,
    s: Tensor,
}

impl Net {
    pub fn of(case: &Case) -> Result<Self> {
        let mlp = case.mlp("net", case.activation()?)?;
        let mut layout = ParamLayout::new();
        mlp.push_layout(&mut layout, "net");
        Ok(Self {
            mlp,
            params: case.params("net", &layout)?,
            s: case.input("s")?,
        })
    }

    fn input(&self, x: &Tensor, t: f64) -> candle_core::Result<Tensor> {
        let t = Tensor::full(t as f32, (x.dim(0)?, 1), x.device())?;
        Tensor::cat(&[x, &self.s, &t], 1)
    }
}

impl Field for Net {
    fn value(&self, x: &Tensor, span: Span) -> candle_core::Result<Tensor> {
        self.mlp
            .forward(&self.params.detached(), &self.input(x, span.from)?)
    }
}

impl DifferentiableField for Net {
    fn jvp(&self, x: &Tensor, span: Span, x_dot: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let tangent = x_dot
            .pad_with_zeros(1, 0, self.s.dim(1)? + 1)?
            .contiguous()?;
        self.mlp.jvp(
            &self.params.detached(),
            &self.input(x, span.from)?,
            &tangent,
        )
    }

    fn jacobian(&self, x: &Tensor, span: Span) -> candle_core::Result<(Tensor, Tensor)> {
        let input = self.input(x, span.from)?;
        self.mlp
            .jacobian(&self.params.detached(), &input, 0, x.dim(1)?)
    }
}

fn logdensity(case: &Case) -> Result<Outputs> {
    let net = Net::of(case)?;
    let grid = Grid {
        from: case.config("t0")?,
        to: case.config("t1")?,
        n_steps: case.config("n_steps")?,
    };
    let (x0, probe) = (case.input("x0")?, case.input("probe")?);
    let log_base = standard_normal_log_prob(&x0)?;
    let forms = [
        ("trace", Volume::Trace),
        ("hutchinson", Volume::Hutchinson(&probe)),
        ("logdet", Volume::LogDet),
    ];
    let mut outputs = Outputs::new();
    for (name, volume) in forms {
        let moved = transport(&net, &x0, grid, volume)?;
        outputs.set(&format!("log_p_{name}"), (&log_base - &moved.log_volume)?);
        outputs.set(&format!("sum_{name}"), moved.log_volume);
        outputs.set("x_end", moved.end);
    }
    Ok(outputs)
}
