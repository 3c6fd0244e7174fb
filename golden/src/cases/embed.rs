//! `embed.*`: embeddings of flow time.

use advect_flow::{TimeEmbedding, TimeFeatures};
use advect_kernels::{ParamLayout, Params};

use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("embed.flame", |case| embed(case, TimeEmbedding::flame()?)),
    ("embed.fourier", fourier),
    ("embed.rldt", |case| {
        embed(case, TimeEmbedding::rldt(case.config("time_dim")?)?)
    }),
    ("embed.fm_irl", |case| {
        embed(case, TimeEmbedding::fm_irl(case.config("time_dim")?)?)
    }),
    ("embed.fm_irl_ln2", layer_norm),
];

fn embed(case: &Case, embedding: TimeEmbedding) -> Result<Outputs> {
    let params = params(case, &embedding)?;
    let t = case.input("t")?;
    let (_, dot) = embedding.forward_with_dot(params.tensor(), &t)?;
    Ok(Outputs::new()
        .with("features", embedding.features().value(&t)?)
        .with("embedding", embedding.forward(params.tensor(), &t)?)
        .with("embedding_dot", dot))
}

fn fourier(case: &Case) -> Result<Outputs> {
    let features = TimeFeatures::Fourier {
        n_freq: case.config("n_freq")?,
    };
    Ok(Outputs::new().with("features", features.value(&case.input("t")?)?))
}

fn layer_norm(case: &Case) -> Result<Outputs> {
    let hidden = case.shape("time.0.weight")?[0];
    embed(case, TimeEmbedding::fm_irl_layer_norm(hidden)?)
}

fn params(case: &Case, embedding: &TimeEmbedding) -> Result<Params> {
    let mut layout = ParamLayout::new();
    embedding.push_layout(&mut layout, "time");
    case.params("time", &layout)
}
