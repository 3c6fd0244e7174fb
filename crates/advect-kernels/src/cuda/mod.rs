//! Buffers, launches and products on a CUDA device; kernels are compiled by `build.rs`.
#![allow(unsafe_code)] // launches and uninitialised buffers

pub(crate) mod averages;
mod open;
mod products;
pub(crate) mod scalars;

pub use open::{CudaMissing, Library, describe, libraries, open};
pub(crate) use products::{Form, Matrix, Sizes, product};
pub use products::{Products, set_products};

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, CudaView, CudaViewMut, DevicePtr, LaunchConfig,
};
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::op::BackpropOp;
use candle_core::{DType, Device, Layout, Result, Shape, Storage, Tensor};

use crate::params::contiguous;

/// Values on the device.
pub(crate) type Buffer = CudaSlice<f32>;
/// Values on the device that somebody else owns.
pub(crate) type View<'a> = CudaView<'a, f32>;
/// As [`View`], mutable.
pub(crate) type ViewMut<'a> = CudaViewMut<'a, f32>;

/// Threads of a block.
const BLOCK: u32 = 256;

/// Kernels that are compiled together.
pub(crate) struct Module {
    pub name: &'static str,
    pub ptx: &'static str,
}

/// The passes over flat buffers of `optim` and `params`.
pub(crate) const OPTIM: Module = Module {
    name: "advect_optim",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/optim.ptx")),
};

/// Launches the kernel of `$module` with that name on `$config`; behind the semicolon stand references to its arguments.
macro_rules! launch {
    ($device:expr, $module:expr, $name:literal, $config:expr; $($argument:expr),+ $(,)?) => {{
        use candle_core::cuda_backend::cudarc::driver::PushKernelArg;
        use candle_core::cuda_backend::WrapErr;
        let function = $device.get_or_load_custom_func($name, $module.name, $module.ptx)?;
        let mut builder = function.builder();
        $(builder.arg($argument);)+
        // SAFETY: the arguments are the kernel's, in its order, and cover the elements that it is told to take.
        #[allow(unsafe_code)]
        let launched = unsafe { builder.launch($config) };
        launched.w()?;
    }};
}
pub(crate) use launch;

/// The contiguous values behind a tensor.
///
/// # Errors
/// If it is not f32, or not contiguous.
pub(crate) fn view<'a>(storage: &'a CudaStorage, layout: &Layout) -> Result<View<'a>> {
    let (start, end) = contiguous(layout)?;
    Ok(storage.as_cuda_slice::<f32>()?.slice(start..end))
}

/// As [`view`], mutable.
///
/// # Errors
/// As [`view`].
pub(crate) fn view_mut<'a>(storage: &'a mut CudaStorage, layout: &Layout) -> Result<ViewMut<'a>> {
    let (start, end) = contiguous(layout)?;
    Ok(storage.as_cuda_slice_mut::<f32>()?.slice_mut(start..end))
}

/// Where a tensor's first value lies, f32 or f64. All work is on one stream: whoever frees it afterwards frees it behind the launches that were
/// given it.
///
/// # Errors
/// If it is not on a CUDA device, or of another type.
pub(crate) fn address(tensor: &Tensor) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        return Err(candle_core::Error::Msg(
            "a kernel is given a tensor of the host".into(),
        ));
    };
    let (stream, start) = (storage.device().cuda_stream(), layout.start_offset());
    Ok(match storage.dtype() {
        DType::F64 => {
            storage
                .as_cuda_slice::<f64>()?
                .slice(start..)
                .device_ptr(&stream)
                .0
        }
        _ => {
            storage
                .as_cuda_slice::<f32>()?
                .slice(start..)
                .device_ptr(&stream)
                .0
        }
    })
}

/// Where values begin, or null: what kernels take that do without them.
pub(crate) fn start_of(values: Option<&Buffer>) -> u64 {
    values.map_or(0, |values| values.device_ptr(values.stream()).0)
}

/// A buffer whose values are written before they are read.
///
/// # Errors
/// If the device has no room.
pub(crate) fn buffer(device: &CudaDevice, len: usize) -> Result<Buffer> {
    // SAFETY: the promise of the first line.
    unsafe { device.alloc::<f32>(len.max(1)) }
}

/// A tensor of f32 on a CUDA device that `fill` writes, without gradient.
///
/// # Errors
/// If the device is no CUDA device or has no room, and what `fill` reports.
pub(crate) fn filled(
    device: &Device,
    shape: impl Into<Shape>,
    fill: impl FnOnce(&CudaDevice, &mut Buffer) -> Result<()>,
) -> Result<Tensor> {
    let (device, shape) = (device.as_cuda_device()?, shape.into());
    let mut out = buffer(device, shape.elem_count())?;
    fill(device, &mut out)?;
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(out, device.clone()));
    Ok(Tensor::from_storage(
        storage,
        shape,
        BackpropOp::none(),
        false,
    ))
}

/// What `by` makes of two tensors of a CUDA device, without gradient.
///
/// # Errors
/// If they are elsewhere, and what `by` reports.
pub(crate) fn computed(
    x: &Tensor,
    y: &Tensor,
    by: impl FnOnce((&CudaStorage, &Layout), (&CudaStorage, &Layout)) -> Result<(CudaStorage, Shape)>,
) -> Result<Tensor> {
    let ((x, x_layout), (y, y_layout)) = (x.storage_and_layout(), y.storage_and_layout());
    let (Storage::Cuda(x), Storage::Cuda(y)) = (&*x, &*y) else {
        let problem = "kernels are given tensors of the host";
        return Err(candle_core::Error::Msg(problem.into()));
    };
    let (made, shape) = by((x, x_layout), (y, y_layout))?;
    let none = BackpropOp::none();
    Ok(Tensor::from_storage(
        Storage::Cuda(made),
        shape,
        none,
        false,
    ))
}

/// A number as kernels count.
///
/// # Errors
/// If there are more than 2^32 - 1.
pub(crate) fn count(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| {
        candle_core::Error::Msg(format!(
            "a kernel takes at most 2^32 - 1 elements, here are {n}: take smaller batches"
        ))
    })
}

fn blocks(grid: (u32, u32, u32)) -> LaunchConfig {
    LaunchConfig {
        grid_dim: grid,
        block_dim: (BLOCK, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// A thread for each of `n` elements, or several elements for a thread.
pub(crate) fn elements(n: u32) -> LaunchConfig {
    blocks((n.div_ceil(BLOCK).clamp(1, 1 << 16), 1, 1))
}

/// A warp for each of `rows` rows.
pub(crate) fn warps(rows: u32) -> LaunchConfig {
    blocks((rows.div_ceil(BLOCK / 32).max(1), 1, 1))
}

/// A block for each 32 columns of each member, with 8 to 32 threads for each column, the more `rows` the more.
pub(crate) fn columns(width: u32, members: u32, rows: u32) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (width.div_ceil(32).max(1), members.max(1), 1),
        block_dim: (32 * (rows / 8).clamp(8, 32), 1, 1),
        shared_mem_bytes: 0,
    }
}
