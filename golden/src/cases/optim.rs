//! `optim.*`: Adam and AdamW with schedules, clipping and EMA.

use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::schedule::Schedule;
use advect_kernels::{ParamLayout, Params};
use candle_core::Tensor;
use serde::Deserialize;

use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("optim.adam", |case| optimise(case, 0.0)),
    ("optim.adamw", |case| {
        optimise(case, case.config("weight_decay")?)
    }),
];

/// The learning rate as the files describe it.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum ScheduleConfig {
    Constant {
        lr: f64,
    },
    Linear {
        lr: f64,
        lr_end: f64,
        begin: u64,
        duration: u64,
    },
    Warmup {
        lr: f64,
        warmup: u64,
    },
}

impl From<ScheduleConfig> for Schedule {
    fn from(config: ScheduleConfig) -> Self {
        match config {
            ScheduleConfig::Constant { lr } => Self::Constant { lr },
            ScheduleConfig::Linear {
                lr,
                lr_end,
                begin,
                duration,
            } => Self::Linear {
                lr,
                lr_end,
                begin,
                duration,
            },
            ScheduleConfig::Warmup { lr, warmup } => Self::Warmup { lr, warmup },
        }
    }
}

/// What is recorded after every step.
#[derive(Default)]
struct Path {
    params: Vec<Tensor>,
    norm: Vec<f32>,
    lr: Vec<f32>,
}

/// Adam with decoupled decay; without decay it is plain Adam.
fn optimise(case: &Case, weight_decay: f64) -> Result<Outputs> {
    let (w_shape, b_shape) = (case.shape("w")?.to_vec(), case.shape("b")?.to_vec());
    let mut layout = ParamLayout::new();
    let w = layout.push("w", &w_shape);
    let b = layout.push("b", &b_shape);
    let start = [case.values("w")?, case.values("b")?].concat();
    let params = Params::from_vec(layout, None, start, case.device())?;
    let (initial, ema) = (params.detached().copy()?, params.duplicate()?);
    let path = run(
        case,
        Adam::new(&params, config(case, weight_decay)?)?,
        &params,
        &ema,
    )?;
    let steps = path.lr.len();
    let along = |range: &std::ops::Range<usize>, shape: &[usize]| -> Result<Tensor> {
        let parts = Tensor::stack(&path.params, 0)?.narrow(1, range.start, range.len())?;
        Ok(parts.reshape([&[steps], shape].concat())?)
    };
    let of = |flat: &Tensor, range: &std::ops::Range<usize>, shape: &[usize]| -> Result<Tensor> {
        Ok(flat.narrow(0, range.start, range.len())?.reshape(shape)?)
    };
    let moved = (params.detached() - initial)?;
    Outputs::new()
        .with("w_path", along(&w, &w_shape)?)
        .with("b_path", along(&b, &b_shape)?)
        .with("ema_w", of(&ema.detached(), &w, &w_shape)?)
        .with("ema_b", of(&ema.detached(), &b, &b_shape)?)
        .with("moved_w", of(&moved, &w, &w_shape)?)
        .with_values("norm", &[steps], path.norm)?
        .with_values("lr", &[steps], path.lr)
}

fn run(case: &Case, mut optimiser: Adam, params: &Params, ema: &Params) -> Result<Path> {
    let schedule = Schedule::from(case.config::<ScheduleConfig>("schedule")?);
    let tau = case.config("ema_tau")?;
    let (grad_w, grad_b) = (case.input("grad_w")?, case.input("grad_b")?);
    let mut path = Path::default();
    for step in 0..grad_w.dim(0)? {
        let grad = Tensor::cat(
            &[
                grad_w.get(step)?.flatten_all()?,
                grad_b.get(step)?.flatten_all()?,
            ],
            0,
        )?;
        let lr = schedule.at(optimiser.steps());
        path.norm
            .push(optimiser.step(params, &grad, lr)?.to_scalar::<f64>()? as f32);
        path.lr.push(lr as f32);
        path.params.push(params.detached().copy()?);
        ema.lerp_towards(params, tau)?;
    }
    Ok(path)
}

fn config(case: &Case, weight_decay: f64) -> Result<AdamConfig> {
    Ok(AdamConfig {
        beta1: case.config("beta1")?,
        beta2: case.config("beta2")?,
        eps: case.config("eps")?,
        weight_decay,
        clip_norm: case.config("clip_norm")?,
    })
}
