//! Parameters, inputs and comparisons.

use advect_kernels::{ParamLayout, Params, init};
use advect_rng::Stream;
use candle_core::{Device, Error, Result, Tensor};

pub const OBS: usize = 5;
pub const ACT: usize = 3;
pub const ROWS: usize = 4;

pub fn params(layout: &ParamLayout) -> Result<Params> {
    let scheme = init::Init::TruncatedNormal { scale: 1.5 };
    let values = init::draw(layout, scheme, &mut Stream::new(11, "init"));
    Params::from_vec(layout.clone(), None, values, &Device::Cpu)
}

pub fn normals(name: &str, shape: &[usize]) -> Result<Tensor> {
    let mut values = vec![0.0; shape.iter().product()];
    Stream::new(5, name).fill_normal(&mut values);
    Tensor::from_vec(values, shape, &Device::Cpu)
}

pub fn column(values: [f32; ROWS]) -> Result<Tensor> {
    Tensor::new(values.as_slice(), &Device::Cpu)
}

pub fn max_abs(x: &Tensor) -> Result<f32> {
    x.abs()?.max_all()?.to_scalar()
}

pub fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f32) -> Result<()> {
    let error = max_abs(&(found - expected)?)?;
    let scale = max_abs(expected)?.max(1.0);
    assert!(error <= tolerance * scale, "error {error} at scale {scale}");
    Ok(())
}

/// The largest gradient of every parameter tensor against a central difference; every tensor has one.
pub fn assert_gradient(params: &Params, loss: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    let mut grads = loss(params.tensor())?.backward()?;
    let missing = || Error::Msg("the parameters have no gradient".into());
    let grad = grads.remove(params.var()).ok_or_else(missing)?;
    let (grad, values) = (grad.to_vec1::<f32>()?, params.to_vec()?);
    for entry in params.layout().entries() {
        let larger = |i: &usize, j: &usize| grad[*i].abs().total_cmp(&grad[*j].abs());
        let largest = entry.range().max_by(larger).ok_or_else(missing)?;
        let shifted = |h: f32| {
            let mut moved = values.clone();
            moved[largest] += h;
            loss(&Tensor::from_vec(moved, values.len(), &Device::Cpu)?)?.to_scalar::<f32>()
        };
        let h = 1e-2;
        let difference = (shifted(h)? - shifted(-h)?) / (2.0 * h);
        let error = (grad[largest] - difference).abs();
        assert!(grad[largest].abs() > 1e-5, "{}: no gradient", entry.name);
        assert!(
            error < 1e-2 * grad[largest].abs().max(1e-2),
            "{}: {} for {difference}",
            entry.name,
            grad[largest]
        );
    }
    Ok(())
}
