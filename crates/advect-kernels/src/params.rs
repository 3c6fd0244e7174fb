//! Parameters: one contiguous f32 buffer per network with a named, ordered layout.
//!
//! Optimisers, EMA, hard copies, checkpoints and finite checks are one pass over the flat buffer.
//! An ensemble (twin critics, seeds) is a leading dimension of the same buffer.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, Var};

#[cfg(feature = "cuda")]
use crate::cuda;
use crate::error::shape_error;

/// One named parameter tensor inside a flat buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamEntry {
    /// Full name, for example `policy.0.weight`.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// First index in the flat buffer.
    pub offset: usize,
}

impl ParamEntry {
    /// Number of values.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The indices of the flat buffer that hold this tensor.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// The ordered list of the tensors of a flat buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParamLayout {
    entries: Vec<ParamEntry>,
    len: usize,
}

impl ParamLayout {
    /// An empty layout.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a tensor and returns the range that it takes in the buffer.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize]) -> Range<usize> {
        let entry = ParamEntry {
            name: name.into(),
            shape: shape.to_vec(),
            offset: self.len,
        };
        let range = entry.range();
        self.len = range.end;
        self.entries.push(entry);
        range
    }

    /// The tensors, in order.
    pub fn entries(&self) -> &[ParamEntry] {
        &self.entries
    }

    /// Number of f32 values of one member.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the layout holds no tensor.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The tensor of that name.
    pub fn find(&self, name: &str) -> Option<&ParamEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The tensor that holds flat index `index` of one member.
    pub fn entry_at(&self, index: usize) -> Option<&ParamEntry> {
        let next = self.entries.partition_point(|entry| entry.offset <= index);
        let entry = self.entries.get(next.checked_sub(1)?)?;
        entry.range().contains(&index).then_some(entry)
    }
}

/// The parameters of a network: a trainable flat buffer `[P]`, or `[E, P]` for an ensemble of `E`.
#[derive(Debug, Clone)]
pub struct Params {
    layout: Arc<ParamLayout>,
    members: Option<usize>,
    var: Var,
}

impl Params {
    /// Parameters from their flat values, members one after the other.
    ///
    /// # Errors
    /// If `values` has another length than layout and member count say.
    pub fn from_vec(
        layout: impl Into<Arc<ParamLayout>>,
        members: Option<usize>,
        values: Vec<f32>,
        device: &Device,
    ) -> Result<Self> {
        let layout = layout.into();
        let wanted = layout.len() * members.unwrap_or(1);
        if values.len() != wanted {
            let expected = format!("{wanted} values");
            return Err(shape_error(
                "Params::from_vec",
                "values",
                &[values.len()],
                expected,
            ));
        }
        let tensor = match members {
            Some(e) => Tensor::from_vec(values, (e, layout.len()), device)?,
            None => Tensor::from_vec(values, layout.len(), device)?,
        };
        Ok(Self {
            layout,
            members,
            var: Var::from_tensor(&tensor)?,
        })
    }

    /// All zeros.
    ///
    /// # Errors
    /// If the device cannot hold the buffer.
    pub fn zeros(
        layout: impl Into<Arc<ParamLayout>>,
        members: Option<usize>,
        device: &Device,
    ) -> Result<Self> {
        let layout = layout.into();
        let values = vec![0.0; layout.len() * members.unwrap_or(1)];
        Self::from_vec(layout, members, values, device)
    }

    /// A separate buffer with the same layout and values.
    ///
    /// # Errors
    /// If the device cannot hold the buffer.
    pub fn duplicate(&self) -> Result<Self> {
        let copy = self.detached().copy()?;
        Ok(Self {
            layout: self.layout.clone(),
            members: self.members,
            var: Var::from_tensor(&copy)?,
        })
    }

    /// The layout of one member.
    pub fn layout(&self) -> &Arc<ParamLayout> {
        &self.layout
    }

    /// Number of ensemble members, `None` for a single network.
    pub fn members(&self) -> Option<usize> {
        self.members
    }

    /// The buffer as a tensor that gradients flow to, `[P]` or `[E, P]`.
    pub fn tensor(&self) -> &Tensor {
        self.var.as_tensor()
    }

    /// The buffer as candle's variable, the key of its gradient.
    pub fn var(&self) -> &Var {
        &self.var
    }

    /// The buffer without gradient tracking; shares memory with [`Params::tensor`].
    pub fn detached(&self) -> Tensor {
        self.var.as_detached_tensor()
    }

    /// A tracked view of the values `range` of every member: the parameters of a sub-network.
    ///
    /// # Errors
    /// If the range exceeds the buffer.
    pub fn slice(&self, range: Range<usize>) -> Result<Tensor> {
        slice_params(self.tensor(), range)
    }

    /// The values, members one after the other.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        self.detached().flatten_all()?.to_vec1()
    }

    /// Overwrites all values in place.
    ///
    /// # Errors
    /// If the length differs.
    pub fn set_from_slice(&self, values: &[f32]) -> Result<()> {
        let shape = self.tensor().shape().clone();
        if values.len() != shape.elem_count() {
            let expected = format!("{} values", shape.elem_count());
            return Err(shape_error(
                "Params::set_from_slice",
                "values",
                &[values.len()],
                expected,
            ));
        }
        self.var
            .set(&Tensor::from_slice(values, shape, self.tensor().device())?)
    }

    /// Hard copy of another buffer of the same layout, in place.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn copy_from(&self, other: &Self) -> Result<()> {
        self.lerp_towards(other, 1.0)
    }

    /// Exponential moving average: `self <- (1 - tau) self + tau other`, one pass in place.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn lerp_towards(&self, other: &Self, tau: f64) -> Result<()> {
        Self::lerp_all(&[(self, other)], tau)
    }

    /// The same of several, each towards the other of its pair; on a CUDA device four of them at a time.
    ///
    /// # Errors
    /// If shapes differ; nothing is moved then.
    pub fn lerp_all(pairs: &[(&Self, &Self)], tau: f64) -> Result<()> {
        let tensors: Vec<[&Tensor; 2]> = pairs
            .iter()
            .map(|(a, b)| [a.tensor(), b.tensor()])
            .collect();
        for [own, other] in &tensors {
            if own.dims() != other.dims() {
                let expected = format!("{:?}", own.dims());
                return Err(shape_error(
                    "Params::lerp_all",
                    "other",
                    other.dims(),
                    expected,
                ));
            }
        }
        let tau = tau as f32;
        #[cfg(feature = "cuda")]
        if tensors.iter().any(|[own, _]| own.device().is_cuda()) {
            return cuda::averages::lerp(&tensors, tau);
        }
        let lerp = |[own, other]: &[&Tensor; 2]| own.inplace_op2(other, &Lerp { tau });
        tensors.iter().try_for_each(lerp)
    }

    /// A 64-bit FNV-1a hash of the bits of all values.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn hash(&self) -> Result<u64> {
        Ok(hash_values(&self.to_vec()?))
    }
}

/// A view of the values `range` of every member of `params` (`[P]` or `[E, P]`).
///
/// # Errors
/// If the range exceeds the buffer.
pub fn slice_params(params: &Tensor, range: Range<usize>) -> Result<Tensor> {
    params.narrow(params.rank() - 1, range.start, range.len())
}

/// A 64-bit FNV-1a hash of the bits of `values`, in order.
pub fn hash_values(values: &[f32]) -> u64 {
    let bits = values.iter().map(|value| value.to_bits());
    hash_bytes(bits.flat_map(u32::to_le_bytes))
}

/// A 64-bit FNV-1a hash of bytes, in order.
pub fn hash_bytes(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

struct Lerp {
    tau: f32,
}

impl InplaceOp2 for Lerp {
    fn name(&self) -> &'static str {
        "lerp"
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        target_layout: &Layout,
        source: &CpuStorage,
        source_layout: &Layout,
    ) -> Result<()> {
        let source = f32_slice(source, source_layout)?;
        let target = f32_slice_mut(target, target_layout)?;
        if self.tau == 1.0 {
            target.copy_from_slice(source);
            return Ok(());
        }
        let keep = 1.0 - self.tau;
        for (slow, fast) in target.iter_mut().zip(source) {
            *slow = keep * *slow + self.tau * fast;
        }
        Ok(())
    }
}

/// The contiguous f32 values behind a CPU tensor's storage.
///
/// # Errors
/// If the tensor is not f32 or not contiguous.
pub(crate) fn f32_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = contiguous(layout)?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// The contiguous f32 values behind a CPU tensor's storage, mutable.
///
/// # Errors
/// If the tensor is not f32 or not contiguous.
pub(crate) fn f32_slice_mut<'a>(
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> Result<&'a mut [f32]> {
    let (start, end) = contiguous(layout)?;
    match storage {
        CpuStorage::F32(values) => Ok(&mut values[start..end]),
        _ => Err(candle_core::Error::UnexpectedDType {
            msg: "an in-place kernel takes f32",
            expected: DType::F32,
            got: storage_dtype(storage),
        }),
    }
}

fn storage_dtype(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// First and last index of a contiguous tensor's values.
pub(crate) fn contiguous(layout: &Layout) -> Result<(usize, usize)> {
    layout.contiguous_offsets().ok_or_else(|| {
        candle_core::Error::Msg(
            "a kernel takes contiguous tensors: call `contiguous()` first".into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> ParamLayout {
        let mut layout = ParamLayout::new();
        layout.push("a.weight", &[2, 3]);
        layout.push("a.bias", &[2]);
        layout
    }

    #[test]
    fn entries_follow_each_other_and_are_found() {
        let layout = layout();
        assert_eq!(layout.len(), 8);
        assert_eq!(layout.find("a.bias").map(ParamEntry::range), Some(6..8));
        assert_eq!(
            layout.entry_at(5).map(|e| e.name.as_str()),
            Some("a.weight")
        );
        assert_eq!(layout.entry_at(8), None);
    }

    #[test]
    fn ema_moves_by_tau_and_copy_is_exact() -> Result<()> {
        let device = Device::Cpu;
        let slow = Params::from_vec(layout(), Some(2), vec![1.0; 16], &device)?;
        let fast = Params::from_vec(
            layout(),
            Some(2),
            (0..16).map(|i| i as f32).collect(),
            &device,
        )?;
        slow.lerp_towards(&fast, 0.25)?;
        assert_eq!(slow.to_vec()?[4], 0.75 + 0.25 * 4.0);
        slow.copy_from(&fast)?;
        assert_eq!(slow.hash()?, fast.hash()?);
        Ok(())
    }

    #[test]
    fn duplicate_does_not_share_memory() -> Result<()> {
        let online = Params::from_vec(layout(), None, vec![1.0; 8], &Device::Cpu)?;
        let target = online.duplicate()?;
        online.set_from_slice(&[2.0; 8])?;
        assert_eq!(target.to_vec()?, vec![1.0; 8]);
        Ok(())
    }

    #[test]
    fn wrong_length_names_the_argument() {
        let error = Params::from_vec(layout(), None, vec![0.0; 7], &Device::Cpu).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`values` has shape [7], expected 8 values"),
            "{error}"
        );
    }
}
