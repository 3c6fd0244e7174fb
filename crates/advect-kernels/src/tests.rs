//! What the tests of fused networks share: draws, candle's own activations, errors.

use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use crate::mlp::Activation;
use crate::params::{ParamLayout, Params};

/// Every activation.
pub(crate) const ALL: [Activation; 5] = [
    Activation::Relu,
    Activation::Tanh,
    Activation::Gelu,
    Activation::Silu,
    Activation::Mish,
];

/// `scale` times standard normals.
pub(crate) fn draw(stream: &mut Stream, dims: &[usize], scale: f32) -> Tensor {
    let mut values = vec![0.0; dims.iter().product()];
    stream.fill_normal(&mut values);
    values.iter_mut().for_each(|v| *v *= scale);
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

/// Parameters `0.2 n`, `n` standard normal.
pub(crate) fn drawn_params(
    layout: ParamLayout,
    members: Option<usize>,
    stream: &mut Stream,
) -> Params {
    let values = draw(stream, &[layout.len() * members.unwrap_or(1)], 0.2)
        .to_vec1()
        .unwrap();
    Params::from_vec(layout, members, values, &Device::Cpu).unwrap()
}

/// The activation from candle's own operations.
pub(crate) fn activate(activation: Activation, h: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::Relu => h.relu(),
        Activation::Tanh => h.tanh(),
        Activation::Gelu => h.gelu_erf(),
        Activation::Silu => h.silu(),
        Activation::Mish => {
            let softplus = ((h.abs()?.neg()?.exp()? + 1.0)?.log()? + h.relu()?)?;
            h * softplus.tanh()?
        }
    }
}

/// Relative L2 error.
pub(crate) fn error(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (
        a.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
        b.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
    );
    assert_eq!(a.len(), b.len());
    let square = |v: f32| f64::from(v) * f64::from(v);
    let difference: f64 = a.iter().zip(&b).map(|(a, b)| square(a - b)).sum();
    (difference / b.iter().map(|&b| square(b)).sum::<f64>().max(1e-24)).sqrt()
}

/// Hashes of tensors, to compare bits.
pub(crate) fn hashes(tensors: &[&Tensor]) -> Result<Vec<u64>> {
    let hash = |t: &&Tensor| {
        let values = t.flatten_all()?.to_vec1()?;
        Ok(crate::params::hash_values(&values))
    };
    tensors.iter().map(hash).collect()
}
