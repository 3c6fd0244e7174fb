//! The one thread pool, and loops over it.
#![allow(unsafe_code)] // setting an environment variable, and a pointer that crosses threads

use rayon::prelude::*;

use crate::error::KernelError;

/// Queues to a CUDA device: streams that share one wait for each other, and the driver makes 8 where it is not told.
const QUEUES: &str = "CUDA_DEVICE_MAX_CONNECTIONS";

/// Sizes the global thread pool: `threads`, or as many as the process may use. Call once, before any tensor exists.
///
/// Candle's own element-wise pool is held to one thread: two pools on the same cores fight each other.
///
/// # Errors
/// If the pool was started before.
pub fn init(threads: Option<usize>) -> Result<usize, KernelError> {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or(available).max(1);
    // SAFETY: called at the start of the program, before other threads read the environment.
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
        if cfg!(feature = "cuda") && std::env::var_os(QUEUES).is_none() {
            std::env::set_var(QUEUES, "32");
        }
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .map_err(|error| KernelError::Invalid {
            what: "thread pool".into(),
            problem: error.to_string(),
            fix: "call threads::init once, before the first tensor operation".into(),
        })?;
    Ok(threads)
}

/// Runs `work` with a pool of `threads` threads of its own, on one of them.
///
/// # Errors
/// If a thread does not start.
pub fn within<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, KernelError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
    let pool = pool.build().map_err(|error| KernelError::Invalid {
        what: "thread pool".into(),
        problem: error.to_string(),
        fix: "use fewer threads".into(),
    })?;
    Ok(pool.install(work))
}

/// Runs `task(0) .. task(count - 1)`, on the pool where that pays.
pub(crate) fn for_each(count: usize, task: impl Fn(usize) + Send + Sync) {
    if count <= 1 || rayon::current_num_threads() == 1 {
        (0..count).for_each(task);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// A pointer whose users write disjoint parts from several threads.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

// SAFETY: every user of a `Shared` writes a part of its own, as the kernels' task grids guarantee.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// The pointer `offset` values in.
    pub(crate) fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}
