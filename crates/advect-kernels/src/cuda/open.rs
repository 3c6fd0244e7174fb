//! Opening a CUDA device as our kernels want it.

use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::{result, sys};
use candle_core::cuda_backend::cudarc::{cublas, curand};

/// Why there is no CUDA device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaMissing {
    /// A library cannot be loaded.
    #[error("{name} is not found; {fix}")]
    Library {
        /// The library.
        name: &'static str,
        /// What provides it.
        fix: &'static str,
    },
    /// The driver refuses.
    #[error("the NVIDIA driver opens no device: {0}")]
    Driver(String),
}

const DRIVER: &str = "install NVIDIA's driver, 580 or newer";
const TOOLKIT: &str =
    "put CUDA 13's library on LD_LIBRARY_PATH (pip install nvidia-cublas nvidia-curand)";

/// The first CUDA device with a stream of its own, without tracking of events between streams, and with memory that stays in its pool.
///
/// # Errors
/// If a library or the device is missing.
pub fn open() -> Result<Device, CudaMissing> {
    if let Some(missing) = libraries().into_iter().find(|library| !library.found) {
        let Library { name, fix, .. } = missing;
        return Err(CudaMissing::Library { name, fix });
    }
    let driver = |e: candle_core::Error| CudaMissing::Driver(first_line(&e.to_string()));
    let device = Device::new_cuda_with_stream(0).map_err(driver)?;
    if let Device::Cuda(cuda) = &device {
        // SAFETY: all our work is on this one stream, from its first tensor on.
        unsafe { cuda.disable_event_tracking() };
    }
    keep_pool().map_err(|e| CudaMissing::Driver(format!("{e:?}")))?;
    Ok(device)
}

/// A library that a device needs, and whether it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Library {
    /// The library.
    pub name: &'static str,
    /// Whether the loader finds it.
    pub found: bool,
    /// What provides it.
    pub fix: &'static str,
}

/// The libraries that a device needs: candle loads them when it opens one, and panics without them.
pub fn libraries() -> [Library; 3] {
    // SAFETY: the libraries are NVIDIA's; loading them runs nothing of ours.
    let found = unsafe {
        [
            ("the driver's libcuda", sys::is_culib_present(), DRIVER),
            ("libcublas", cublas::sys::is_culib_present(), TOOLKIT),
            ("libcurand", curand::sys::is_culib_present(), TOOLKIT),
        ]
    };
    found.map(|(name, found, fix)| Library { name, found, fix })
}

/// Name of the first device, and its memory in bytes: free and in all. The device must be open.
///
/// # Errors
/// If the driver refuses.
pub fn describe() -> Result<(String, [usize; 2]), CudaMissing> {
    let told = || {
        let name = result::device::get_name(result::device::get(0)?)?;
        let (free, all) = result::mem_get_info()?;
        Ok((name, [free, all]))
    };
    told().map_err(|e: result::DriverError| CudaMissing::Driver(format!("{e:?}")))
}

/// Freed memory stays for the next allocation instead of going back to the system at every synchronisation.
fn keep_pool() -> Result<(), result::DriverError> {
    let most = u64::MAX;
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the pool is the device's own, and the attribute's value is a 64-bit number.
    unsafe {
        let pool = result::device::get_default_mem_pool(result::device::get(0)?)?;
        result::mem_pool::set_attribute(pool, threshold, (&raw const most).cast_mut().cast())
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
