//! Device work that is recorded once and then repeated by one call.
//!
//! A launch of a [`Graph`] makes the recorded calls again, with the same arguments. Numbers of the host that differ from one repetition
//! to the next, such as the position of a random stream, are [`Position`]s: they lie on the device too, and the graph moves them itself.

#[cfg(feature = "cuda")]
mod cuda;

#[cfg(feature = "cuda")]
pub use cuda::{Graph, Recorder};
#[cfg(feature = "cuda")]
pub(crate) use cuda::{Place, place};
#[cfg(not(feature = "cuda"))]
pub use host::{Graph, Recorder};

use advect_rng::{Stream, StreamState};

/// A number of the host that every repetition moves by as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    id: [u64; 2],
    at: u64,
}

impl Position {
    /// The number `at`, told from others by `name`.
    pub(crate) fn named(name: &str, at: u64) -> Self {
        let StreamState { key, stream, .. } = Stream::new(0, name).state();
        Self::of(key, stream, at)
    }

    fn of(key: [u32; 2], stream: u64, at: u64) -> Self {
        let key = u64::from(key[0]) | u64::from(key[1]) << 32;
        Self {
            id: [key, stream],
            at,
        }
    }
}

impl From<&Stream> for Position {
    fn from(stream: &Stream) -> Self {
        let StreamState {
            key,
            stream,
            counter,
        } = stream.state();
        Self::of(key, stream, counter)
    }
}

/// Without the feature `cuda` there is no device that records.
#[cfg(not(feature = "cuda"))]
mod host {
    use super::Position;
    use candle_core::{Device, Error, Result};

    /// A recorded sequence of calls; only CUDA devices have them.
    #[derive(Debug)]
    pub struct Graph(std::convert::Infallible);

    impl Graph {
        /// How far each position moves with a launch.
        pub fn moves(&self) -> &[u64] {
            match self.0 {}
        }
    }

    /// Records and launches; only for CUDA devices.
    #[derive(Debug)]
    pub struct Recorder(std::convert::Infallible);

    impl Recorder {
        /// A recorder for a CUDA device; nothing for another.
        ///
        /// # Errors
        /// If the device has no room.
        pub fn new(_: &Device) -> Result<Option<Self>> {
            Ok(None)
        }

        /// Does `work` and keeps its small uploads.
        ///
        /// # Errors
        /// What `work` reports.
        pub fn rehearse<T>(&self, _: impl FnOnce() -> Result<T>) -> Result<T> {
            match self.0 {}
        }

        /// Records `work`.
        ///
        /// # Errors
        /// What `work` reports.
        pub fn record<T>(
            &mut self,
            _: &[Position],
            _: impl FnOnce() -> Result<(T, Vec<Position>)>,
        ) -> Result<(Graph, T)> {
            Err(Error::NotCompiledWithCudaSupport)
        }

        /// Makes the recorded calls.
        ///
        /// # Errors
        /// If the device fails.
        pub fn launch(&mut self, graph: &Graph, _: &[Position]) -> Result<()> {
            match graph.0 {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_records_nothing() {
        assert!(Recorder::new(&candle_core::Device::Cpu).is_ok_and(|none| none.is_none()));
    }

    #[test]
    fn positions_are_told_apart_by_stream_and_moved_by_draws() {
        let mut stream = Stream::new(3, "noise");
        let (before, other) = (Position::from(&stream), Position::from(&stream.fork("a")));
        stream.fill_normal(&mut [0.0; 9]);
        let after = Position::from(&stream);
        assert_eq!((after.id, after.at - before.at), (before.id, 3));
        assert_ne!(other.id, before.id);
        assert_ne!(Position::named("a", 0).id, Position::named("b", 0).id);
    }
}
