//! The same on a CUDA device.
#![allow(unsafe_code)] // an argument that kernels take by value

use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{DType, Result, Tensor};

use super::Direction;
use crate::cuda::{Module, address, buffer, count, filled, launch, warps};
use crate::kernel_matrix::{MIN_BANDWIDTH, RadialKernel, Sizes};

const SVGD: Module = Module {
    name: "advect_svgd",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/svgd.ptx")),
};

/// Points, gradients and weights; the bandwidth is 0 for the median rule.
#[repr(C)]
#[derive(Clone, Copy)]
struct Places {
    y: u64,
    a: u64,
    g: u64,
    weight: u64,
    bandwidth: u64,
}

// SAFETY: integers in C's layout, as wide as the pointers that the kernel declares.
unsafe impl DeviceRepr for Places {}

/// What a direction is made of, all of one device.
pub(super) struct Points<'a> {
    pub y: &'a Tensor,
    pub a: &'a Tensor,
    pub g: &'a Tensor,
    pub weight: &'a Tensor,
    /// Of every query; `None` is the median rule.
    pub bandwidth: Option<&'a Tensor>,
}

/// The direction at all queries.
pub(super) fn direction(kernel: RadialKernel, from: &Points, sizes: Sizes) -> Result<Direction> {
    let tensors = [
        Some(from.y),
        Some(from.a),
        Some(from.g),
        Some(from.weight),
        from.bandwidth,
    ];
    let tensors = tensors.map(|x| x.map(plain).transpose());
    let [y, a, g, weight, bandwidth] = tensors;
    let tensors = [y?, a?, g?, weight?, bandwidth?];
    let place = |i: usize| tensors[i].as_ref().map_or(Ok(0), address);
    let at = Places {
        y: place(0)?,
        a: place(1)?,
        g: place(2)?,
        weight: place(3)?,
        bandwidth: place(4)?,
    };
    let (points, queries) = (sizes.m * sizes.p * sizes.dim, sizes.m * sizes.p);
    let out = filled(from.y.device(), 3 * points + queries, |device, out| {
        if points == 0 {
            return Ok(());
        }
        let mut work = buffer(device, 2 * queries * sizes.r)?;
        let [queries, p] = [count(queries)?, count(sizes.p)?];
        let [r, dim] = [count(sizes.r)?, count(sizes.dim)?];
        let kernel = match kernel {
            RadialKernel::Rbf => 0i32,
            RadialKernel::Imq => 1,
        };
        launch!(device, SVGD, "svgd_direction", warps(queries);
            out, &mut work, &at, &kernel, &MIN_BANDWIDTH, &p, &r, &dim, &queries);
        Ok(())
    })?;
    let part = |i: usize| {
        out.narrow(0, i * points, points)?
            .reshape((sizes.m, sizes.p, sizes.dim))
    };
    Ok(Direction {
        phi: part(0)?,
        attraction: part(1)?,
        repulsion: part(2)?,
        bandwidth: out
            .narrow(0, 3 * points, queries)?
            .reshape((sizes.m, sizes.p))?,
    })
}

/// Contiguous, f32, constant.
fn plain(x: &Tensor) -> Result<Tensor> {
    x.detach().to_dtype(DType::F32)?.contiguous()
}
