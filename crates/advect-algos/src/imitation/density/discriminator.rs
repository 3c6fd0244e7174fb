//! The discriminator of two losses, and its own loss (fm_irl.md sections 1.2 and 1.3).

use advect_rl::MeanMetrics;
use candle_core::{Result, Tensor};

use super::super::reward::{cross_entropy, record_logits};
use super::query::{Density, Draw, Label, Query};

/// Rows with the draws of their two losses; the same draw twice is shared noise, which cancels what both losses have in common.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// `x = [s; a]` `[B, d]`.
    pub x: &'a Tensor,
    /// Of the loss under the expert's label.
    pub expert: &'a Draw,
    /// Of the loss under the student's label.
    pub agent: &'a Draw,
}

impl<'a> Labelled<'a> {
    fn queries(&self) -> [Query<'a>; 2] {
        let query = |label, draw| Query {
            x: self.x,
            label,
            draw,
        };
        [
            query(Label::Expert, self.expert),
            query(Label::Agent, self.agent),
        ]
    }

    /// `(l(x | 1), l(x | 0))`, both `[B]`; the logit of the discriminator is the second less the first.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn losses(&self, density: &impl Density) -> Result<(Tensor, Tensor)> {
        let [l1, l0] = density.losses(self.queries())?;
        Ok((l1, l0))
    }
}

/// What a step of the discriminator and teacher minimises.
#[derive(Debug, Clone)]
pub struct Losses {
    /// `l(x | 0) - l(x | 1)` of the expert's rows `[b]`.
    pub logit_expert: Tensor,
    /// The same of the student's rows `[b]`.
    pub logit_agent: Tensor,
    /// `mean softplus(-logit)` over the expert's rows.
    pub expert: Tensor,
    /// `mean softplus(logit)` over the student's rows.
    pub agent: Tensor,
    /// The teacher's term, `mean l(x_expert | 1)` with its own draw, if there is one.
    pub teacher: Option<Tensor>,
    /// `expert + agent + coefficient teacher`.
    pub total: Tensor,
}

impl Losses {
    /// Of `l(x | 1)` and `l(x | 0)` of the expert's rows and of the student's.
    fn of([e1, e0, a1, a0]: [Tensor; 4]) -> Result<Self> {
        let (logit_expert, logit_agent) = ((e0 - e1)?, (a0 - a1)?);
        let [expert, agent] = cross_entropy(&logit_expert, &logit_agent)?;
        Ok(Self {
            total: (&expert + &agent)?,
            logit_expert,
            logit_agent,
            expert,
            agent,
            teacher: None,
        })
    }

    /// Counts losses and logits.
    ///
    /// # Errors
    /// If the device fails.
    pub fn record(&self, means: &mut MeanMetrics) -> Result<()> {
        record_logits(&self.logit_expert, &self.logit_agent, means)?;
        means.add_tensor("discriminator/expert_loss", &self.expert)?;
        means.add_tensor("discriminator/agent_loss", &self.agent)?;
        match &self.teacher {
            Some(teacher) => means.add_tensor("teacher/loss", teacher),
            None => Ok(()),
        }
    }
}

/// The teacher's term of the loss.
#[derive(Debug, Clone, Copy)]
pub struct Teacher<'a> {
    /// Its draw.
    pub draw: &'a Draw,
    /// Its weight.
    pub coef: f64,
}

/// `J_D`, in one pass through the network; no gradient is stopped.
///
/// # Errors
/// On a shape mismatch.
pub fn losses(
    density: &impl Density,
    expert: &Labelled<'_>,
    agent: &Labelled<'_>,
    teacher: Option<Teacher<'_>>,
) -> Result<Losses> {
    let ([e1, e0], [a1, a0]) = (expert.queries(), agent.queries());
    let Some(teacher) = teacher else {
        return Losses::of(density.losses([e1, e0, a1, a0])?);
    };
    let pinned = Query {
        x: expert.x,
        label: Label::Expert,
        draw: teacher.draw,
    };
    let [e1, e0, a1, a0, pinned] = density.losses([e1, e0, a1, a0, pinned])?;
    let (both, pinned) = (Losses::of([e1, e0, a1, a0])?, pinned.mean_all()?);
    Ok(Losses {
        total: (&both.total + (&pinned * teacher.coef)?)?,
        teacher: Some(pinned),
        ..both
    })
}
