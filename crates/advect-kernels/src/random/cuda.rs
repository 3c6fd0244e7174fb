//! Draws of a stream on the device, the same bits as on the host.

use advect_rng::{Stream, StreamState};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{
    CpuStorage, CudaStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Tensor,
};

use crate::cuda::{Module, count, elements, launch, view_mut};
use crate::graph::{Place, Position, place};
use crate::params::contiguous;

const RANDOM: Module = Module {
    name: "advect_random",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/random.ptx")),
};

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Law {
    /// Standard normals.
    Normal,
    /// `low + width u`.
    Uniform { low: f32, width: f32 },
    /// Signs.
    Rademacher,
    /// Indices on `0..n`.
    Indices(u32),
}

impl Law {
    fn dtype(self) -> DType {
        match self {
            Self::Indices(_) => DType::U32,
            _ => DType::F32,
        }
    }

    /// Values of a block of the stream.
    fn per_block(self) -> u64 {
        match self {
            Self::Normal | Self::Uniform { .. } => 4,
            Self::Rademacher => 128,
            Self::Indices(_) => 2,
        }
    }
}

/// Where a fill begins, as the kernels declare it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    key: [u32; 2],
    stream: u64,
    counter: Place,
}

// SAFETY: integers in C's layout.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Origin {}

impl Origin {
    /// Where the stream is, which moves past `blocks` blocks.
    ///
    /// # Errors
    /// In the recording of a graph that does not own the stream.
    pub(crate) fn take(stream: &mut Stream, blocks: u64) -> Result<Self> {
        let StreamState {
            key, stream: high, ..
        } = stream.state();
        let counter = place(Position::from(&*stream))?;
        stream.skip(blocks);
        Ok(Self {
            key,
            stream: high,
            counter,
        })
    }
}

/// A tensor of draws; the stream moves as by a fill on the host.
///
/// # Errors
/// If the device fails.
pub(crate) fn draw(stream: &mut Stream, law: Law, shape: Shape, device: &Device) -> Result<Tensor> {
    let len = shape.elem_count();
    let from = Origin::take(stream, (len as u64).div_ceil(law.per_block()))?;
    // SAFETY: the kernel writes every value.
    #[allow(unsafe_code)]
    let out = unsafe { Tensor::empty(shape, law.dtype(), device) }?;
    if len > 0 {
        out.inplace_op1(&Fill { law, from })?;
    }
    Ok(out)
}

struct Fill {
    law: Law,
    from: Origin,
}

impl InplaceOp1 for Fill {
    fn name(&self) -> &'static str {
        "draw"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        Err(candle_core::Error::Msg("a host draws by `Stream`".into()))
    }

    fn cuda_fwd(&self, out: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let device = out.device().clone();
        let (start, end) = contiguous(layout)?;
        let n = count(end - start)?;
        let from = &self.from;
        let config = elements(n);
        match self.law {
            Law::Normal => {
                let out = &mut view_mut(out, layout)?;
                launch!(device, RANDOM, "fill_normal", config;
                    out, from, &n);
            }
            Law::Uniform { low, width } => {
                let out = &mut view_mut(out, layout)?;
                launch!(device, RANDOM, "fill_uniform", config;
                    out, from, &low, &width, &n);
            }
            Law::Rademacher => {
                let out = &mut view_mut(out, layout)?;
                launch!(device, RANDOM, "fill_rademacher", config;
                    out, from, &n);
            }
            Law::Indices(range) => {
                let out = &mut out.as_cuda_slice_mut::<u32>()?.slice_mut(start..end);
                launch!(device, RANDOM, "fill_indices", config;
                    out, from, &range, &n);
            }
        }
        Ok(())
    }
}
