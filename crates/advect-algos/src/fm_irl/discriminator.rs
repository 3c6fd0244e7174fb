//! The flow-matching discriminator and its loss (fm_irl.md sections 1.2 and 1.3).

use candle_core::{Result, Tensor};

use super::matching::{Draw, Label, Matching, Query};
use crate::imitation::cross_entropy;

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
    pub fn losses(&self, matching: &Matching<'_>) -> Result<(Tensor, Tensor)> {
        let [l1, l0] = matching.losses(self.queries())?;
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
    /// The teacher's term, `mean l(x_expert | 1)` with its own draw.
    pub teacher: Tensor,
    /// `expert + agent + coefficient teacher`.
    pub total: Tensor,
}

/// `J_D`, in one pass through the network; no gradient is stopped.
///
/// # Errors
/// On a shape mismatch.
pub fn losses(
    matching: &Matching<'_>,
    expert: &Labelled<'_>,
    agent: &Labelled<'_>,
    teacher: &Draw,
    teacher_coef: f64,
) -> Result<Losses> {
    let ([e1, e0], [a1, a0]) = (expert.queries(), agent.queries());
    let pinned = Query {
        x: expert.x,
        label: Label::Expert,
        draw: teacher,
    };
    let [e1, e0, a1, a0, pinned] = matching.losses([e1, e0, a1, a0, pinned])?;
    let (logit_expert, logit_agent) = ((e0 - e1)?, (a0 - a1)?);
    let [expert, agent] = cross_entropy(&logit_expert, &logit_agent)?;
    let teacher = pinned.mean_all()?;
    let total = ((&expert + &agent)? + (&teacher * teacher_coef)?)?;
    Ok(Losses {
        logit_expert,
        logit_agent,
        expert,
        agent,
        teacher,
        total,
    })
}
