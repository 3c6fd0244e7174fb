//! `fm_irl.*`: teacher and discriminator.

use advect_algos::fm_irl::matching::Matching;
use advect_algos::fm_irl::teacher;
use advect_algos::imitation::RewardKind;
use advect_algos::imitation::density::discriminator::{self, Teacher};
use advect_algos::imitation::density::{Draw, Labelled, times};
use advect_flow::{NetConfig, TimeEmbedding, VelocityNet};
use advect_kernels::{Params, Precision};
use candle_core::Tensor;

use super::critics::gradient;
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::{Gradients, Outputs};
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("fm_irl.losses", losses),
    ("fm_irl.disc_loss", disc_loss),
    ("fm_irl.teacher", generated),
    ("fm_irl.times", grid),
];

/// The network of a file and its parameters `disc`.
struct Disc {
    net: VelocityNet,
    params: Params,
    label_dim: usize,
}

impl Disc {
    fn of(case: &Case) -> Result<Self> {
        let label_dim = case.config("label_dim")?;
        let joint = case.shape("disc.out.weight")?[0];
        let time = TimeEmbedding::fm_irl(case.config("time_dim")?)?;
        let (hidden, n_blocks) = (case.config("hidden")?, case.config("n_blocks")?);
        let config = NetConfig::fm_irl(label_dim, joint, hidden, n_blocks, time);
        let net = VelocityNet::new(&config)?;
        let params = case.params("disc", net.layout())?;
        Ok(Self {
            net,
            params,
            label_dim,
        })
    }

    fn matching(&self) -> Matching<'_> {
        Matching {
            net: &self.net,
            params: self.params.tensor(),
            label_dim: self.label_dim,
        }
    }
}

fn draw(case: &Case, name: &str) -> Result<Draw> {
    Ok(Draw {
        x_0: case.input(&format!("x0_{name}"))?,
        t: case.input(&format!("t_{name}"))?,
    })
}

fn losses(case: &Case) -> Result<Outputs> {
    let (disc, x) = (Disc::of(case)?, case.input("x")?);
    let (expert, agent) = (draw(case, "c1")?, draw(case, "c0")?);
    let (draws, rows) = expert.t.dims2()?;
    let mut sums = (
        expert.t.get(0)?.zeros_like()?,
        expert.t.get(0)?.zeros_like()?,
    );
    let of = |draws: &Draw, i: usize| -> Result<Draw> {
        Ok(Draw {
            x_0: draws.x_0.get(i)?,
            t: draws.t.get(i)?,
        })
    };
    for i in 0..draws {
        let (expert, agent) = (of(&expert, i)?, of(&agent, i)?);
        let rows = Labelled {
            x: &x,
            expert: &expert,
            agent: &agent,
        };
        let (l1, l0) = rows.losses(&disc.matching())?;
        sums = ((sums.0 + l1)?, (sums.1 + l0)?);
    }
    let (l1, l0) = ((sums.0 / draws as f64)?, (sums.1 / draws as f64)?);
    let logit = (&l0 - &l1)?;
    let (logits, bonus) = (logit.to_vec1::<f32>()?, case.config("survival_bonus")?);
    let mut outputs = Outputs::new()
        .with("l1", l1)
        .with("l0", l0)
        .with("logit", logit);
    for (name, kind) in [
        ("d_prob", RewardKind::Raw),
        ("reward_airl", RewardKind::Airl),
        ("reward_airl_positive", RewardKind::AirlPositive),
        ("reward_gail", RewardKind::Gail),
        ("reward_raw", RewardKind::Raw),
        ("reward_revise", RewardKind::Revise),
    ] {
        let values = logits.iter().map(|l| kind.of(*l, bonus)).collect();
        outputs = outputs.with_values(name, &[rows], values)?;
    }
    Ok(outputs)
}

fn disc_loss(case: &Case) -> Result<Outputs> {
    let disc = Disc::of(case)?;
    let (x_expert, x_agent) = (case.input("x_expert")?, case.input("x_agent")?);
    let [e1, e0, a1, a0, pinned] = [
        draw(case, "expert_c1")?,
        draw(case, "expert_c0")?,
        draw(case, "agent_c1")?,
        draw(case, "agent_c0")?,
        draw(case, "bc")?,
    ];
    let rows = |x, expert, agent| Labelled { x, expert, agent };
    let found = discriminator::losses(
        &disc.matching(),
        &rows(&x_expert, &e1, &e0),
        &rows(&x_agent, &a1, &a0),
        Some(Teacher {
            draw: &pinned,
            coef: case.config("bc_coef")?,
        }),
    )?;
    let gradient = gradient(&found.total, &disc.params, "disc")?;
    let gradients = Gradients::new().with("disc", disc.net.layout(), &gradient)?;
    let outputs = match found.teacher {
        Some(teacher) => Outputs::new().with("loss_bc", teacher),
        None => Outputs::new(),
    };
    Ok(outputs
        .with("logit_expert", found.logit_expert)
        .with("logit_agent", found.logit_agent)
        .with("loss_expert", found.expert)
        .with("loss_agent", found.agent)
        .with("loss", found.total)
        .with("grad", case.flat_gradient(&gradients)?))
}

fn generated(case: &Case) -> Result<Outputs> {
    let disc = Disc::of(case)?;
    let (n_steps, obs_dim) = (case.config("n_steps")?, case.config("obs_dim")?);
    let x_0 = case.input("x0")?;
    let (states, actions) =
        teacher::generate(&disc.matching(), &x_0, n_steps, obs_dim, Precision::F32)?;
    Ok(Outputs::new()
        .with("states", states)
        .with("actions", actions))
}

fn grid(case: &Case) -> Result<Outputs> {
    let k: Vec<u32> = case.values("k")?.iter().map(|k| *k as u32).collect();
    let t: Tensor =
        times::antithetic(&k, case.config("fm_num_steps")?, 2 * k.len(), case.device())?;
    Ok(Outputs::new().with("t", t))
}
