//! The device that a run computes on.

use std::sync::Once;

use advect_rl::{Products, RunConfig};
use candle_core::Device;

/// Why there is no such device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The name is none of the three.
    #[error("unknown device `{0}`; use auto, cpu or cuda")]
    Unknown(String),
    /// There are no CUDA kernels in this program.
    #[error(
        "device cuda: this build has no CUDA kernels, it computes on the CPU only; use --device cpu or --device auto, or build with \
         `cargo xtask build --cuda`"
    )]
    NoCuda,
    /// There are CUDA kernels, but no device to run them on.
    #[error("device cuda: {0}; use --device cpu or --device auto")]
    Missing(String),
}

/// Opens `auto`, `cpu` or `cuda`; `auto` is a CUDA device where the build has kernels and the machine a device, else the CPU, and says so
/// where the build has kernels.
///
/// # Errors
/// [`DeviceError`] for another name, and for `cuda` where there is no such device.
///
/// ```
/// assert!(advect::device::open("cpu").unwrap().is_cpu());
/// assert!(advect::device::open("gpu").unwrap_err().to_string().contains("auto, cpu or cuda"));
/// ```
pub fn open(name: &str) -> Result<Device, DeviceError> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "cuda" => cuda(),
        "auto" => match cuda() {
            Err(DeviceError::Missing(reason)) => {
                static SAID: Once = Once::new();
                SAID.call_once(|| tracing::warn!("computing on the CPU: {reason}"));
                Ok(Device::Cpu)
            }
            Err(_) => Ok(Device::Cpu),
            found => found,
        },
        other => Err(DeviceError::Unknown(other.into())),
    }
}

/// The same with a run's precision of products.
///
/// # Errors
/// As [`open`], and if the library of products refuses.
pub fn open_for(config: &RunConfig) -> Result<Device, DeviceError> {
    let device = open(&config.device)?;
    set_products(&device, config.products)?;
    Ok(device)
}

/// What products on a CUDA device round their operands to; nothing on another.
///
/// # Errors
/// If the library of products refuses.
pub fn set_products(device: &Device, products: Products) -> Result<(), DeviceError> {
    #[cfg(feature = "cuda")]
    {
        use advect_kernels::cuda;
        let products = match products {
            Products::F32 => cuda::Products::Exact,
            Products::Tf32 => cuda::Products::Tf32,
            Products::Bf16 => cuda::Products::Bf16,
        };
        let refused = |e: candle_core::Error| DeviceError::Missing(e.to_string());
        cuda::set_products(device, products).map_err(refused)?;
    }
    #[cfg(not(feature = "cuda"))]
    let _ = (device, products);
    Ok(())
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, DeviceError> {
    advect_kernels::cuda::open().map_err(|missing| DeviceError::Missing(missing.to_string()))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, DeviceError> {
    Err(DeviceError::NoCuda)
}
