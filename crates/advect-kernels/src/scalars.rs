//! Scalars that are read together, so that a device is waited for once for many of them, and scalars that are not read at all.

use candle_core::{DType, Device, Result, Tensor};

#[cfg(feature = "cuda")]
use crate::cuda::scalars::gather;
use crate::graph::Position;
use crate::pointwise::clamp;

/// Scalars that fit.
const ROOM: usize = 4096;

/// Scalars of a device in the order in which they were put; on the host they are read at once.
///
/// ```
/// use advect_kernels::scalars::ScalarLog;
/// use candle_core::{Device, Tensor};
/// let mut log = ScalarLog::new(&Device::Cpu)?;
/// log.push(&[&Tensor::new(0.5f32, &Device::Cpu)?, &Tensor::new(2f64, &Device::Cpu)?])?;
/// assert_eq!(log.take()?, [0.5, 2.0]);
/// assert!(log.take()?.is_empty());
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ScalarLog {
    host: Vec<f64>,
    /// A ring `[ROOM]`, f64, on a CUDA device.
    device: Option<Tensor>,
    /// Scalars ever taken, and ever put.
    taken: u64,
    put: u64,
}

impl ScalarLog {
    /// An empty log for scalars of `device`.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn new(device: &Device) -> Result<Self> {
        let zeros = || Tensor::zeros(ROOM, DType::F64, device);
        Ok(Self {
            host: Vec::new(),
            device: device.is_cuda().then(zeros).transpose()?,
            taken: 0,
            put: 0,
        })
    }

    /// How many more fit before they must be taken.
    pub fn room(&self) -> usize {
        ROOM - self.len()
    }

    fn len(&self) -> usize {
        (self.put - self.taken) as usize
    }

    /// How many were ever put: what a graph that puts some moves.
    pub fn position(&self) -> Position {
        Position::named("advect/scalars", self.put)
    }

    /// Counts scalars that a launch of a graph puts.
    pub fn advance(&mut self, scalars: usize) {
        self.put += scalars as u64;
    }

    /// Puts the means of tensors of f32 or f64, which scalars are of themselves, behind the others; a CUDA device is not waited for.
    ///
    /// # Errors
    /// If they do not fit, or if one is empty or not contiguous.
    pub fn push(&mut self, scalars: &[&Tensor]) -> Result<()> {
        if scalars.len() > self.room() {
            let problem = "the log of scalars is full: take them first";
            return Err(candle_core::Error::Msg(problem.into()));
        }
        match &self.device {
            Some(values) => gather(values, self.position(), scalars)?,
            None => {
                for scalar in scalars {
                    self.host.push(read(&scalar.mean_all()?)?);
                }
            }
        }
        self.advance(scalars.len());
        Ok(())
    }

    /// All scalars since the last call; waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn take(&mut self) -> Result<Vec<f64>> {
        let (first, len) = (self.taken as usize % ROOM, self.len());
        let values = match &self.device {
            Some(ring) if len > 0 => {
                let before_end = len.min(ROOM - first);
                let mut values: Vec<f64> = ring.narrow(0, first, before_end)?.to_vec1()?;
                if before_end < len {
                    values.append(&mut ring.narrow(0, 0, len - before_end)?.to_vec1()?);
                }
                values
            }
            _ => std::mem::take(&mut self.host),
        };
        self.taken = self.put;
        Ok(values)
    }
}

#[cfg(not(feature = "cuda"))]
fn gather(_: &Tensor, _: Position, _: &[&Tensor]) -> Result<()> {
    Err(candle_core::Error::NotCompiledWithCudaSupport)
}

/// A number of an equation: one of the host, or one of a CUDA device that the host does not wait for.
///
/// ```
/// use advect_kernels::scalars::Scalar;
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[1f32, 2.0], &Device::Cpu)?;
/// let alpha = Scalar::from(0.5);
/// assert_eq!(alpha.times(&x)?.to_vec1::<f32>()?, [0.5, 1.0]);
/// assert_eq!(alpha.recip()?.read()?, 2.0);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub enum Scalar {
    /// Known to the host.
    Host(f64),
    /// A tensor of one f32.
    Device(Tensor),
}

impl From<f64> for Scalar {
    fn from(value: f64) -> Self {
        Self::Host(value)
    }
}

impl From<&Self> for Scalar {
    fn from(scalar: &Self) -> Self {
        scalar.clone()
    }
}

impl Scalar {
    fn map(
        &self,
        host: impl FnOnce(f64) -> f64,
        device: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        match self {
            Self::Host(value) => Ok(Self::Host(host(*value))),
            Self::Device(value) => Ok(Self::Device(device(value)?)),
        }
    }

    /// `x` times the scalar; no gradient flows to the scalar.
    ///
    /// # Errors
    /// If the device fails; the same holds for every function here.
    pub fn times(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Host(value) => x * *value,
            Self::Device(value) => {
                x.broadcast_mul(&value.detach().reshape(())?.to_dtype(x.dtype())?)
            }
        }
    }

    /// `factor` times the scalar plus `summand`.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn affine(&self, factor: f64, summand: f64) -> Result<Self> {
        self.map(|x| factor * x + summand, |x| x.affine(factor, summand))
    }

    /// One over the scalar.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn recip(&self) -> Result<Self> {
        self.map(f64::recip, Tensor::recip)
    }

    /// `e` to the scalar.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn exp(&self) -> Result<Self> {
        self.map(f64::exp, Tensor::exp)
    }

    /// Its natural logarithm.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn ln(&self) -> Result<Self> {
        self.map(f64::ln, Tensor::log)
    }

    /// `value`, kept on a CUDA device if that is where it is used.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn on(device: &Device, value: f64) -> Result<Self> {
        match device.is_cuda() {
            true => Ok(Self::Device(Tensor::new(&[value as f32], device)?)),
            false => Ok(Self::Host(value)),
        }
    }

    /// The value of a tensor of one number; a CUDA device is not waited for.
    ///
    /// # Errors
    /// If it is no scalar.
    pub fn of(value: &Tensor) -> Result<Self> {
        match value.device().is_cuda() {
            true => Ok(Self::Device(
                value.detach().reshape(1)?.to_dtype(DType::F32)?,
            )),
            false => Ok(Self::Host(read(value)?)),
        }
    }

    /// The sum of both.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn plus(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Host(a), Self::Host(b)) => Ok(Self::Host(a + b)),
            (Self::Device(a), Self::Device(b)) => Ok(Self::Device((a + b)?)),
            (Self::Device(a), Self::Host(b)) | (Self::Host(b), Self::Device(a)) => {
                Ok(Self::Device((a + *b)?))
            }
        }
    }

    /// The larger of both.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn max(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Device(a), Self::Device(b)) => Ok(Self::Device(a.maximum(b)?)),
            (x, Self::Host(least)) | (Self::Host(least), x) => x.at_least(*least),
        }
    }

    /// The scalar, or `most` if that is smaller.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn at_most(&self, most: f64) -> Result<Self> {
        self.map(|x| x.min(most), |x| clamp(x, f64::NEG_INFINITY, most))
    }

    /// The scalar, or `least` if that is larger.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn at_least(&self, least: f64) -> Result<Self> {
        self.map(|x| x.max(least), |x| clamp(x, least, f64::INFINITY))
    }

    /// A tensor `[1]`, f32.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        match self {
            Self::Host(value) => Tensor::new(&[*value as f32], device),
            Self::Device(value) => value.reshape(1),
        }
    }

    /// The scalar moved by `rate` of its distance to `other`.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn towards(&self, other: &Self, rate: f64) -> Result<Self> {
        match (self, other) {
            (Self::Host(from), Self::Host(to)) => Ok(Self::Host(from + rate * (to - from))),
            (Self::Device(at), _) => {
                let to = other.to_tensor(at.device())?.reshape(at.shape())?;
                Ok(Self::Device((at + ((to - at)? * rate)?)?))
            }
            (Self::Host(from), Self::Device(to)) => {
                let from = Tensor::full(*from as f32, to.shape(), to.device())?;
                Self::Device(from).towards(other, rate)
            }
        }
    }

    /// Takes the value of `other`; a tensor of the device stays where it is.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn assign(&mut self, other: Self) -> Result<()> {
        match (&*self, &other) {
            (Self::Device(to), Self::Device(from)) => to.slice_set(&from.detach(), 0, 0),
            _ => {
                *self = other;
                Ok(())
            }
        }
    }

    /// Takes another value; a tensor of the device stays where it is.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn set(&mut self, value: f64) -> Result<()> {
        let value = match self {
            Self::Host(_) => Self::Host(value),
            Self::Device(at) => Self::on(at.device(), value)?,
        };
        self.assign(value)
    }

    /// Its value; waits for the device.
    ///
    /// # Errors
    /// See [`Scalar::times`].
    pub fn read(&self) -> Result<f64> {
        match self {
            Self::Host(value) => Ok(*value),
            Self::Device(value) => read(value),
        }
    }
}

/// The means of tensors of one device, which is waited for once; scalars are their own.
///
/// # Errors
/// If one is empty or not contiguous.
pub fn read_all(scalars: &[&Tensor]) -> Result<Vec<f64>> {
    let Some(first) = scalars.first() else {
        return Ok(Vec::new());
    };
    let (mut log, mut values) = (ScalarLog::new(first.device())?, Vec::new());
    for part in scalars.chunks(ROOM) {
        log.push(part)?;
        values.append(&mut log.take()?);
    }
    Ok(values)
}

/// The value of a scalar of any shape; waits for the device.
///
/// # Errors
/// If it is no scalar.
pub fn read(scalar: &Tensor) -> Result<f64> {
    scalar.to_dtype(DType::F64)?.reshape(())?.to_scalar()
}
