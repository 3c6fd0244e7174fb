//! What every fused network is made of: linear layers on flat parameters, their weight gradients, candle's operations.

mod check;
mod context;
#[cfg(feature = "cuda")]
mod cuda;
mod forward_mode;
mod layer;
mod net;
mod ops;
mod pullback;
mod split;
mod stage;
mod tangents;
mod weights;

pub(crate) use check::{expect_last, expect_tangent};
pub use context::Context;
#[cfg(feature = "cuda")]
pub(crate) use cuda::{Program as CudaProgram, TrackedSaved as CudaTrackedSaved, ops as cuda_ops};
pub(crate) use forward_mode::{forward_with_tangent, jacobian, jvp};
pub(crate) use layer::Step;
pub(crate) use net::{Form, Linear, Net, Packed, block_rows};
pub(crate) use ops::{Fused, Gradients, Wanted, candidates, forward, net};
pub use pullback::Pullback;
pub(crate) use pullback::forward_with_pullback;
pub(crate) use split::{Candidates, RowRange, Split};
pub(crate) use stage::Stage;
pub(crate) use tangents::{Tangents, first_columns};
pub(crate) use weights::{Operands, Rows, weight_gradients};
