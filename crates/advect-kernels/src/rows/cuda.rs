//! The table and its kernel.

use advect_rng::Stream;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr};
use candle_core::{CpuStorage, CudaStorage, DType, Device, InplaceOp1, Layout, Result, Tensor};

use super::FIELDS;
use crate::cuda::{Buffer, Module, buffer, count, elements, launch, view_mut};
use crate::random::cuda::Origin;

const ROWS: Module = Module {
    name: "advect_rows",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/rows.ptx")),
};

/// Indices of a block of a stream.
const PER_BLOCK: u64 = 2;

/// `[capacity, width]`, and how many of the rows are drawn from.
#[derive(Debug)]
pub(super) struct Table {
    device: CudaDevice,
    rows: Buffer,
    len: CudaSlice<u32>,
    known_len: usize,
    width: usize,
}

impl Table {
    pub(super) fn new(capacity: usize, width: usize, device: &Device) -> Result<Self> {
        let device = device.as_cuda_device()?.clone();
        Ok(Self {
            rows: buffer(&device, capacity * width)?,
            len: device.alloc_zeros(1)?,
            known_len: 0,
            width,
            device,
        })
    }

    pub(super) fn write(&mut self, slot: usize, rows: &[f32], len: usize) -> Result<()> {
        let (begin, end) = (slot * self.width, slot * self.width + rows.len());
        if end > self.rows.len() || len * self.width > self.rows.len() {
            let problem = "rows are written behind the end of their table";
            return Err(candle_core::Error::Msg(problem.into()));
        }
        let mut to = self.rows.slice_mut(begin..end);
        self.device.memcpy_htod(rows, &mut to)?;
        if len != self.known_len {
            self.device.memcpy_htod(&[count(len)?], &mut self.len)?;
            self.known_len = len;
        }
        Ok(())
    }

    /// The fields of `n` rows, one behind the other.
    pub(super) fn sample(&self, stream: &mut Stream, n: usize, widths: &[usize]) -> Result<Tensor> {
        let mut begin = [0; FIELDS + 1];
        for field in 0..FIELDS {
            let width = widths.get(field).copied().unwrap_or(0);
            begin[field + 1] = begin[field] + count(width)?;
        }
        let op = Sample {
            table: self,
            origin: Origin::take(stream, (n as u64).div_ceil(PER_BLOCK))?,
            fields: Fields { begin },
            rows: count(n)?,
        };
        let device = Device::Cuda(self.device.clone());
        // SAFETY: the kernel writes every value.
        #[allow(unsafe_code)]
        let out = unsafe { Tensor::empty(n * self.width, DType::F32, &device) }?;
        out.inplace_op1(&op)?;
        Ok(out)
    }
}

/// The column at which each field begins and the last one ends, as the kernel declares it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Fields {
    begin: [u32; FIELDS + 1],
}

// SAFETY: integers in C's layout.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Fields {}

struct Sample<'a> {
    table: &'a Table,
    origin: Origin,
    fields: Fields,
    rows: u32,
}

impl InplaceOp1 for Sample<'_> {
    fn name(&self) -> &'static str {
        "sample-rows"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        let problem = "a host draws rows by their indices";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(&self, out: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let device = out.device().clone();
        let Table {
            rows, len, width, ..
        } = self.table;
        let (width, config) = (
            count(*width)?,
            elements(count(layout.shape().elem_count())?),
        );
        let mut out = view_mut(out, layout)?;
        launch!(device, ROWS, "sample_rows", config;
            &mut out, rows, len, &self.origin, &self.fields, &width, &self.rows);
        Ok(())
    }
}
