//! Discriminators made of a generative model with a label: the logit is the difference of its losses under both labels.
//!
//! FM-IRL's model is a flow ([`crate::fm_irl`]), DRAIL's a diffusion ([`super::drail`]); all but the [`Density`] is the same.

pub mod discriminator;
mod draws;
pub(crate) mod query;
pub mod times;

pub use discriminator::Labelled;
pub use draws::{DrawSettings, Draws, Noise};
pub use query::{Density, Draw, Label, Query};
