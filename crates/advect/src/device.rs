//! The device that a run computes on.

use candle_core::Device;

/// Why there is no such device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The name is none of the three.
    #[error("unknown device `{0}`; use auto, cpu or cuda")]
    Unknown(String),
    /// There are no CUDA kernels in this program.
    #[error(
        "device cuda: this build has no CUDA kernels, it computes on the CPU only; use --device cpu or --device auto"
    )]
    NoCuda,
}

/// Opens `auto`, `cpu` or `cuda`; `auto` is the fastest device that this build can use.
///
/// # Errors
/// [`DeviceError`] for another name, and for `cuda` where the build has no CUDA kernels.
///
/// ```
/// assert!(advect::device::open("auto").unwrap().is_cpu());
/// assert!(advect::device::open("cuda").unwrap_err().to_string().contains("no CUDA kernels"));
/// ```
pub fn open(name: &str) -> Result<Device, DeviceError> {
    match name {
        "auto" | "cpu" => Ok(Device::Cpu),
        "cuda" => Err(DeviceError::NoCuda),
        other => Err(DeviceError::Unknown(other.into())),
    }
}
