//! Matrices side by side.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Result, Tensor};

use crate::error::shape_error;

/// `[p_1 p_2 ..]`, differentiable; on a CUDA device by one kernel for up to four parts, one of which may be differentiated.
///
/// # Shapes
/// Parts `[B, w]`, or `[m, B, w]` for `m` matrices that stand side by side too; each row of a part of fewer rows, of which `B` is a
/// multiple, is that of as many rows in a row. Together they are `[B, W]`.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use advect_kernels::side_by_side;
/// use candle_core::{Device, Tensor};
/// let a = Tensor::new(&[[1f32], [2.0]], &Device::Cpu)?;
/// let shared = Tensor::new(&[[8f32, 9.0]], &Device::Cpu)?;
/// let both = side_by_side(&[&a, &shared])?;
/// assert_eq!(both.to_vec2::<f32>()?, [[1.0, 8.0, 9.0], [2.0, 8.0, 9.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn side_by_side(parts: &[&Tensor]) -> Result<Tensor> {
    let rows = rows(parts)?;
    #[cfg(feature = "cuda")]
    if let Some(joined) = cuda::side_by_side(parts, rows)? {
        return Ok(joined);
    }
    let mut matrices = Vec::with_capacity(parts.len());
    for part in parts {
        match part.rank() {
            3 => {
                for i in 0..part.dim(0)? {
                    matrices.push(spread(&part.get(i)?, rows)?);
                }
            }
            _ => matrices.push(spread(part, rows)?),
        }
    }
    Tensor::cat(&matrices, 1)
}

/// Two of [`side_by_side`] above one another, without gradient: `[2, B, W]`.
///
/// # Errors
/// On a shape mismatch.
pub fn stacked(above: &[&Tensor], below: &[&Tensor]) -> Result<Tensor> {
    let rows = rows(&[above, below].concat())?;
    #[cfg(feature = "cuda")]
    if let Some(both) = cuda::stacked([above, below], rows)? {
        return Ok(both);
    }
    let block = |parts: &[&Tensor]| {
        let joined = side_by_side(parts)?;
        let width = joined.dim(1)?;
        joined.detach().broadcast_as((rows, width))
    };
    Tensor::stack(&[block(above)?, block(below)?], 0)
}

/// The part `[B, w]` or `[m, B, w]` of joined rows that begins at column `first`, without gradient: [`side_by_side`] undone.
///
/// # Errors
/// If the rows do not hold it.
pub fn take_columns(joined: &Tensor, first: usize, shape: &[usize]) -> Result<Tensor> {
    let joined = joined.detach();
    #[cfg(feature = "cuda")]
    if joined.device().is_cuda() {
        return cuda::take_columns(&joined, first, shape);
    }
    match *shape {
        [matrices, rows, width] => joined
            .narrow(1, first, matrices * width)?
            .reshape((rows, matrices, width))?
            .transpose(0, 1)?
            .contiguous(),
        _ => joined
            .narrow(1, first, shape[shape.len() - 1])?
            .contiguous(),
    }
}

/// The rows of the longest part.
fn rows(parts: &[&Tensor]) -> Result<usize> {
    let mut lengths = Vec::with_capacity(parts.len());
    for part in parts {
        match part.dims() {
            [own, _] | [_, own, _] => lengths.push(*own),
            other => {
                let expected = "[rows, width] or [matrices, rows, width]";
                return Err(shape_error("side_by_side", "part", other, expected));
            }
        }
    }
    let rows = lengths.iter().copied().max().unwrap_or(1);
    for (part, own) in parts.iter().zip(lengths) {
        if own == 0 && rows > 0 || own > 0 && !rows.is_multiple_of(own) {
            let expected = format!("{rows} rows, or a number of them that divides it");
            return Err(shape_error("side_by_side", "part", part.dims(), expected));
        }
    }
    Ok(rows)
}

/// A matrix with that many rows, each of its own repeated as often.
fn spread(matrix: &Tensor, rows: usize) -> Result<Tensor> {
    match matrix.dims2()? {
        (own, _) if own == rows => Ok(matrix.clone()),
        (1, width) => matrix.broadcast_as((rows, width)),
        (own, width) => matrix
            .unsqueeze(1)?
            .broadcast_as((own, rows / own, width))?
            .reshape((rows, width)),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn matrices_of_a_part_stand_beside_each_other_and_are_differentiated() -> Result<()> {
        let part = Var::new(&[[[1f32], [2.0]], [[3.0], [4.0]]], &Device::Cpu)?;
        let last = Tensor::new(&[[9f32]], &Device::Cpu)?;
        let joined = side_by_side(&[part.as_tensor(), &last])?;
        assert_eq!(joined.to_vec2::<f32>()?, [[1.0, 3.0, 9.0], [2.0, 4.0, 9.0]]);
        let again = take_columns(&joined, 0, part.dims())?;
        assert_eq!(again.to_vec3::<f32>()?, part.to_vec3::<f32>()?);
        let weights = Tensor::new(&[[1f32, 10.0, 0.0], [100.0, 1000.0, 0.0]], &Device::Cpu)?;
        let gradients = (joined * weights)?.sum_all()?.backward()?;
        let found = gradients
            .get(&part)
            .map(Tensor::to_vec3::<f32>)
            .transpose()?;
        assert_eq!(
            found,
            Some(vec![
                vec![vec![1.0], vec![100.0]],
                vec![vec![10.0], vec![1000.0]]
            ])
        );
        Ok(())
    }

    #[test]
    fn a_row_of_a_shorter_part_is_that_of_several_rows() -> Result<()> {
        let own = Tensor::new(&[[1f32], [2.0], [3.0], [4.0]], &Device::Cpu)?;
        let shared = Tensor::new(&[[8f32], [9.0]], &Device::Cpu)?;
        let joined = side_by_side(&[&own, &shared])?.to_vec2::<f32>()?;
        assert_eq!(joined, [[1.0, 8.0], [2.0, 8.0], [3.0, 9.0], [4.0, 9.0]]);
        Ok(())
    }

    #[test]
    fn other_numbers_of_rows_are_refused() -> Result<()> {
        let matrix = |rows: usize| Tensor::zeros((rows, 2), candle_core::DType::F32, &Device::Cpu);
        let refused = side_by_side(&[&matrix(2)?, &matrix(3)?]).unwrap_err();
        assert!(refused.to_string().contains("3 rows"), "{refused}");
        assert!(side_by_side(&[&matrix(2)?.flatten_all()?]).is_err());
        Ok(())
    }
}
