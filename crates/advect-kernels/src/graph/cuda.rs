//! Recording by stream capture.

use std::cell::RefCell;

use candle_core::cuda_backend::cudarc::driver::{
    CudaGraph, CudaSlice, DevicePtr, DeviceRepr, LaunchConfig, sys,
};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{Device, Error, Result};

use super::Position;
use crate::cuda::{Module, launch};

const GRAPH: Module = Module {
    name: "advect_graph",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/graph.ptx")),
};

/// Positions of a recorder (`place.cuh`).
const POSITIONS: usize = 16;

/// A number of a kernel: one that the host knows, or in a recording one that lies `offset` behind a number of the device.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    base: u64,
    offset: u64,
}

// SAFETY: integers in C's layout, as the kernels declare them.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Place {}

impl Place {
    /// The number that lies `by` behind this one.
    pub(crate) fn behind(self, by: u64) -> Self {
        Self {
            offset: self.offset + by,
            ..self
        }
    }
}

/// What is being recorded in this thread.
struct Recording {
    from: Vec<Position>,
    addresses: Vec<u64>,
}

thread_local! {
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

/// Where a kernel finds a position.
///
/// # Errors
/// If the work that is being recorded was not said to move it.
pub(crate) fn place(position: Position) -> Result<Place> {
    RECORDING.with_borrow(|recording| {
        let Some(recording) = recording else {
            return Ok(Place {
                base: 0,
                offset: position.at,
            });
        };
        let known = |from: &Position| from.id == position.id;
        let problem = "a graph's update draws from a stream that it does not own";
        let i = recording.from.iter().position(known);
        let i = i.ok_or_else(|| Error::Msg(problem.into()))?;
        Ok(Place {
            base: recording.addresses[i],
            offset: position.at.wrapping_sub(recording.from[i].at),
        })
    })
}

/// A recorded sequence of calls.
pub struct Graph {
    graph: CudaGraph,
    moves: Vec<u64>,
}

// SAFETY: the driver allows calls for a graph from any thread, one at a time; they need a recorder that nobody else holds.
#[allow(unsafe_code)]
unsafe impl Send for Graph {}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").field("moves", &self.moves).finish()
    }
}

impl Graph {
    /// How far each position moves with a launch.
    pub fn moves(&self) -> &[u64] {
        &self.moves
    }
}

/// Records and launches; keeps positions on the device.
#[derive(Debug)]
pub struct Recorder {
    device: CudaDevice,
    positions: CudaSlice<u64>,
    /// What the positions on the device are, in the order in which they were first met.
    known: Vec<Position>,
}

impl Recorder {
    /// A recorder for a CUDA device; nothing for another.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn new(device: &Device) -> Result<Option<Self>> {
        let Device::Cuda(device) = device else {
            return Ok(None);
        };
        Ok(Some(Self {
            positions: device.alloc_zeros(POSITIONS)?,
            device: device.clone(),
            known: Vec::new(),
        }))
    }

    /// Does `work` and keeps its small uploads (shapes and strides of candle's operations) on the device, where a recording finds them.
    ///
    /// # Errors
    /// What `work` reports.
    pub fn rehearse<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _kept = self.device.enable_cuda_graph_htod_cache();
        work()
    }

    /// Records `work` instead of doing it. It begins with positions `from`, returns where they are at its end, and must have been
    /// rehearsed. Whatever it allocates must be gone when it returns.
    ///
    /// # Errors
    /// What `work` reports; if it waits for the device, uploads what it did not in its rehearsal, or draws from a stream that is not among
    /// the positions. Nothing of it is done then.
    pub fn record<T>(
        &mut self,
        from: &[Position],
        work: impl FnOnce() -> Result<(T, Vec<Position>)>,
    ) -> Result<(Graph, T)> {
        let slots: Vec<usize> = from.iter().map(|p| self.slot(*p)).collect::<Result<_>>()?;
        let stream = self.device.cuda_stream();
        let base = self.positions.device_ptr(&stream).0;
        let addresses = slots.iter().map(|slot| base + 8 * *slot as u64).collect();
        let (mode, flags) = (
            sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
            sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH,
        );
        RECORDING.set(Some(Recording {
            from: from.to_vec(),
            addresses,
        }));
        let recorded = stream.begin_capture(mode).w().and_then(|()| {
            let (made, to) = self.rehearse(work)?;
            let moves = moves(from, &to)?;
            self.move_positions(&slots, &moves)?;
            Ok((made, moves))
        });
        RECORDING.set(None);
        // also after an error: a stream that records does nothing else
        let graph = stream.end_capture(flags).w();
        let (made, moves) = recorded?;
        let problem = "the driver recorded nothing";
        let graph = graph?.ok_or_else(|| Error::Msg(problem.into()))?;
        graph.upload().w()?;
        Ok((Graph { graph, moves }, made))
    }

    /// Makes the recorded calls, with positions `from` in the order of the recording; returns before they are done.
    ///
    /// # Errors
    /// If the device fails.
    pub fn launch(&mut self, graph: &Graph, from: &[Position]) -> Result<()> {
        let mut moved = Vec::with_capacity(from.len());
        for (position, by) in from.iter().zip(&graph.moves).filter(|(_, by)| **by > 0) {
            moved.push((self.slot(*position)?, position.at, *by));
        }
        if moved
            .iter()
            .any(|(slot, at, _)| self.known[*slot].at != *at)
        {
            for (slot, at, _) in &moved {
                self.known[*slot].at = *at;
            }
            self.upload()?;
        }
        graph.graph.launch().w()?;
        for (slot, at, by) in moved {
            self.known[slot].at = at.wrapping_add(by);
        }
        Ok(())
    }

    fn upload(&mut self) -> Result<()> {
        let mut at = [0; POSITIONS];
        for (at, known) in at.iter_mut().zip(&self.known) {
            *at = known.at;
        }
        self.device.memcpy_htod(&at, &mut self.positions)
    }

    /// Where a position lies; a new one is nowhere yet.
    fn slot(&mut self, position: Position) -> Result<usize> {
        let known = |known: &Position| known.id == position.id;
        if let Some(slot) = self.known.iter().position(known) {
            return Ok(slot);
        }
        if self.known.len() == POSITIONS {
            let problem = format!("a graph has at most {POSITIONS} random streams");
            return Err(Error::Msg(problem));
        }
        let nowhere = u64::MAX;
        self.known.push(Position {
            at: nowhere,
            ..position
        });
        Ok(self.known.len() - 1)
    }

    fn move_positions(&mut self, slots: &[usize], moves: &[u64]) -> Result<()> {
        let mut by = Moves([0; POSITIONS]);
        for (slot, moved) in slots.iter().zip(moves) {
            by.0[*slot] = *moved;
        }
        let config = LaunchConfig {
            grid_dim: (1, 1, 1),
            block_dim: (POSITIONS as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        let positions = &mut self.positions;
        launch!(self.device, GRAPH, "move_positions", config; positions, &by);
        Ok(())
    }
}

/// How far each position moves, as the kernel declares it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Moves([u64; POSITIONS]);

// SAFETY: integers in C's layout.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Moves {}

fn moves(from: &[Position], to: &[Position]) -> Result<Vec<u64>> {
    let ids = |positions: &[Position]| positions.iter().map(|p| p.id).collect::<Vec<_>>();
    if ids(from) != ids(to) {
        let problem = "a recorded update ends with other streams than it began with";
        return Err(Error::Msg(problem.into()));
    }
    let pairs = from.iter().zip(to);
    Ok(pairs.map(|(a, b)| b.at.wrapping_sub(a.at)).collect())
}
