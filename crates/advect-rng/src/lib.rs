//! Seeded, counter-based random streams and the draws that learning needs.
//!
//! A [`Stream`] is (seed, name); a draw is (stream, position). The generator is Philox 4x32-10, so a position can be computed
//! anywhere, on any device, and the whole state is four integers. All mathematics has a fixed order of operations without the
//! platform's library: the same seed gives the same bits on every processor.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod dispatch;
mod elementary;
mod fill;
mod philox;
pub mod special;
mod stream;
mod truncated;

pub use philox::philox4x32_10;
pub use stream::{Stream, StreamState};
pub use truncated::{BoundsError, TruncatedNormal};
