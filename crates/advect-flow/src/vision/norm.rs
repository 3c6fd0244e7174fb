//! LayerNorm of the last axis as one operation: candle's own steps cost several times the arithmetic, most of it in the gradient.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use crate::error::shape_error;

/// Added to the variance.
const EPS: f32 = 1e-5;

/// `y = (x - mean) / sqrt(var + 1e-5) * weight + bias`, differentiable in everything.
///
/// # Shapes
/// `x` `[.., W]`, `weight` and `bias` `[W]`, to the shape of `x`.
///
/// # Errors
/// On a shape mismatch.
pub(super) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(0);
    for (name, row) in [("weight", weight), ("bias", bias)] {
        if row.dims() != [width] {
            let expected = format!("[{width}]");
            return Err(shape_error("layer_norm", name, row.dims(), expected));
        }
    }
    if !x.device().is_cpu() {
        return step_by_step(x, weight, bias);
    }
    let (weight, bias) = (weight.contiguous()?, bias.contiguous()?);
    x.contiguous()?.apply_op3(&weight, &bias, LayerNorm)
}

/// The same by candle's operations.
fn step_by_step(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let last = x.rank() - 1;
    let centred = x.broadcast_sub(&x.mean_keepdim(last)?)?;
    let variance = centred.sqr()?.mean_keepdim(last)?;
    let unit = centred.broadcast_div(&(variance + f64::from(EPS))?.sqrt()?)?;
    unit.broadcast_mul(weight)?.broadcast_add(bias)
}

struct LayerNorm;

/// Mean of a row, and one over its standard deviation.
fn moments(row: &[f32]) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = row.iter().sum::<f32>() / count;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
    (mean, (variance + EPS).sqrt().recip())
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let missing = || candle_core::Error::Msg("layer_norm takes contiguous tensors".into());
    let (start, end) = layout.contiguous_offsets().ok_or_else(missing)?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = values(x, x_layout)?;
        let (weight, bias) = (values(weight, weight_layout)?, values(bias, bias_layout)?);
        let mut out = vec![0.0; x.len()];
        let rows = out
            .chunks_exact_mut(weight.len())
            .zip(x.chunks_exact(weight.len()));
        for (out, row) in rows {
            let (mean, rate) = moments(row);
            let affine = weight.iter().zip(bias);
            for ((out, x), (weight, bias)) in out.iter_mut().zip(row).zip(affine) {
                *out = (x - mean) * rate * weight + bias;
            }
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let host = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
        let (values, weights, mut found) = (host(x)?, host(weight)?, host(grad)?);
        let width = weights.len();
        let mut of_affine = vec![[0.0f32; 2]; width];
        let rows = found
            .chunks_exact_mut(width)
            .zip(values.chunks_exact(width));
        rows.for_each(|(grad, row)| row_gradient(row, &weights, grad, &mut of_affine));
        let column = |i: usize| {
            let column = of_affine.iter().map(|pair| pair[i]).collect();
            Tensor::from_vec(column, width, x.device())
        };
        let of_x = Tensor::from_vec(found, x.shape(), x.device())?;
        Ok((Some(of_x), Some(column(0)?), Some(column(1)?)))
    }
}

/// Replaces the gradient of a row of the output by that of its input, and adds to those of weight and bias:
///
/// ```text
/// dx = (h - mean(h) - n mean(h n)) / std,    n = (x - mean) / std,    h = weight dy
/// ```
fn row_gradient(row: &[f32], weight: &[f32], grad: &mut [f32], of_affine: &mut [[f32; 2]]) {
    let (mean, rate) = moments(row);
    let (mut sum, mut product) = (0.0f32, 0.0f32);
    let columns = grad.iter().zip(row).zip(weight).zip(of_affine);
    for (((grad, x), weight), affine) in columns {
        let unit = (x - mean) * rate;
        affine[0] += grad * unit;
        affine[1] += grad;
        sum += grad * weight;
        product += grad * weight * unit;
    }
    let count = row.len() as f32;
    let (sum, product) = (sum / count, product / count);
    for ((grad, x), weight) in grad.iter_mut().zip(row).zip(weight) {
        let unit = (x - mean) * rate;
        *grad = rate * (*grad * weight - sum - unit * product);
    }
}
