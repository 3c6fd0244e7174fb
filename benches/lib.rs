//! What the benches share: networks and data of the sizes that the algorithms use, drawn from named streams.

pub mod python;

use advect_kernels::{Activation, Mlp, ParamLayout, Params};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

/// The middle of the values, or the mean of the two in the middle; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    (n > 0).then(|| 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]))
}

/// A tensor of standard normals.
///
/// # Errors
/// If the tensor cannot be made.
pub fn normals(stream: &mut Stream, dims: &[usize]) -> Result<Tensor> {
    let mut values = vec![0.0; dims.iter().product()];
    stream.fill_normal(&mut values);
    Tensor::from_vec(values, dims, &Device::Cpu)
}

/// A network and its parameters; `members` as in [`Params`].
///
/// # Errors
/// If the sizes are not those of a network.
pub fn network(
    sizes: &[usize],
    activation: Activation,
    members: Option<usize>,
    stream: &mut Stream,
) -> Result<(Mlp, Params)> {
    let mlp = Mlp::new(sizes, activation)?;
    let mut layout = ParamLayout::new();
    mlp.push_layout(&mut layout, "net");
    let len = layout.len() * members.unwrap_or(1);
    let values = (normals(stream, &[len])? * 0.05)?.to_vec1()?;
    Ok((
        mlp,
        Params::from_vec(layout, members, values, &Device::Cpu)?,
    ))
}
