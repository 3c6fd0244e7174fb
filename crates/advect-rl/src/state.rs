//! State dictionaries: named arrays and scalars in a fixed order, the content of a checkpoint file.

use std::collections::BTreeMap;
use std::fmt;

use advect_kernels::Params;
use advect_kernels::optim::{Adam, AdamState};
use advect_rng::{Stream, StreamState};
use candle_core::Tensor;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// The flat values of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
    /// 32-bit words.
    U32(Vec<u32>),
    /// 64-bit words.
    U64(Vec<u64>),
    /// Raw bytes.
    Bytes(Vec<u8>),
}

/// One array; a scalar has the shape `[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Values,
}

/// Why a state cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No entry has this name.
    #[error(
        "state has no entry `{name}`: it was saved by another algorithm, configuration or version"
    )]
    Missing {
        /// The name.
        name: String,
    },
    /// An entry has another shape.
    #[error(
        "state entry `{name}` has shape {found:?}, expected {expected:?}: it was saved with another configuration"
    )]
    Shape {
        /// The name.
        name: String,
        /// The shape found.
        found: Vec<usize>,
        /// The shape wanted.
        expected: Vec<usize>,
    },
    /// An entry has another element type.
    #[error("state entry `{name}` holds {found}, expected {expected}")]
    Kind {
        /// The name.
        name: String,
        /// The type found.
        found: &'static str,
        /// The type wanted.
        expected: &'static str,
    },
    /// An entry has a value that makes no sense here.
    #[error("state entry `{name}`: {problem}")]
    Value {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The bytes are not a state file.
    #[error("not a state file: {0}")]
    Format(String),
    /// A tensor could not be read or written.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Element types of a [`StateDict`].
pub trait Element: Copy + sealed::Sealed {
    /// Name of the type in messages.
    const KIND: &'static str;
    /// Wraps values.
    fn wrap(values: Vec<Self>) -> Values;
    /// The values, if they are of this type.
    fn view(values: &Values) -> Option<&[Self]>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const KIND: &'static str = stringify!($type);
            fn wrap(values: Vec<Self>) -> Values {
                Values::$variant(values)
            }
            fn view(values: &Values) -> Option<&[Self]> {
                match values {
                    Values::$variant(values) => Some(values),
                    _ => None,
                }
            }
        }
    };
}

element!(f32, F32);
element!(f64, F64);
element!(u32, U32);
element!(u64, U64);
element!(u8, Bytes);

impl Values {
    fn kind(&self) -> &'static str {
        match self {
            Self::F32(_) => f32::KIND,
            Self::F64(_) => f64::KIND,
            Self::U32(_) => u32::KIND,
            Self::U64(_) => u64::KIND,
            Self::Bytes(_) => u8::KIND,
        }
    }

    fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
            Self::U32(_) => Dtype::U32,
            Self::U64(_) => Dtype::U64,
            Self::Bytes(_) => Dtype::U8,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Bytes(v) => v.clone(),
        }
    }

    fn from_bytes(dtype: Dtype, bytes: &[u8]) -> Option<Self> {
        Some(match dtype {
            Dtype::F32 => Self::F32(words(bytes).map(f32::from_le_bytes).collect()),
            Dtype::F64 => Self::F64(words(bytes).map(f64::from_le_bytes).collect()),
            Dtype::U32 => Self::U32(words(bytes).map(u32::from_le_bytes).collect()),
            Dtype::U64 => Self::U64(words(bytes).map(u64::from_le_bytes).collect()),
            Dtype::U8 => Self::Bytes(bytes.to_vec()),
            _ => return None,
        })
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Named arrays and scalars, ordered by name.
///
/// ```
/// use advect_rl::StateDict;
/// let mut state = StateDict::new();
/// state.put_scalar("updates", 200u64);
/// state.put_vec("policy", vec![0.5f32, -1.0]);
/// let back = StateDict::from_bytes(&state.to_bytes()?)?;
/// assert_eq!(back, state);
/// assert_eq!(back.scalar::<u64>("updates")?, 200);
/// # Ok::<(), advect_rl::StateError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateDict {
    entries: BTreeMap<String, Entry>,
}

impl StateDict {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names and entries, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// Stores an array under `name`, in place of an earlier one of that name.
    ///
    /// # Errors
    /// If the shape does not fit the number of values.
    pub fn put_array<T: Element>(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        values: Vec<T>,
    ) -> Result<(), StateError> {
        let name = name.into();
        if shape.iter().product::<usize>() != values.len() {
            let (found, expected) = (vec![values.len()], shape.to_vec());
            return Err(StateError::Shape {
                name,
                found,
                expected,
            });
        }
        self.entries.insert(
            name,
            Entry {
                shape: shape.to_vec(),
                values: T::wrap(values),
            },
        );
        Ok(())
    }

    /// Stores a vector under `name`, in place of an earlier entry of that name.
    pub fn put_vec<T: Element>(&mut self, name: impl Into<String>, values: Vec<T>) {
        let entry = Entry {
            shape: vec![values.len()],
            values: T::wrap(values),
        };
        self.entries.insert(name.into(), entry);
    }

    /// Stores a scalar under `name`, in place of an earlier entry of that name.
    pub fn put_scalar<T: Element>(&mut self, name: impl Into<String>, value: T) {
        let entry = Entry {
            shape: Vec::new(),
            values: T::wrap(vec![value]),
        };
        self.entries.insert(name.into(), entry);
    }

    /// Stores an f32 tensor.
    ///
    /// # Errors
    /// If it cannot be read as f32.
    pub fn put_tensor(
        &mut self,
        name: impl Into<String>,
        tensor: &Tensor,
    ) -> Result<(), StateError> {
        let values = tensor.detach().flatten_all()?.to_vec1::<f32>()?;
        self.put_array(name, tensor.dims(), values)
    }

    /// Stores the values of a parameter buffer.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn put_params(
        &mut self,
        name: impl Into<String>,
        params: &Params,
    ) -> Result<(), StateError> {
        self.put_tensor(name, params.tensor())
    }

    /// Stores the state of a random stream: key words, stream half, counter.
    pub fn put_stream(&mut self, name: impl Into<String>, stream: &Stream) {
        let StreamState {
            key,
            stream,
            counter,
        } = stream.state();
        self.put_vec(
            name,
            vec![u64::from(key[0]), u64::from(key[1]), stream, counter],
        );
    }

    /// Stores the step count and the moments of an optimiser as `{prefix}/step`, `{prefix}/m` and `{prefix}/v`.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn put_adam(&mut self, prefix: &str, adam: &Adam) -> Result<(), StateError> {
        let AdamState { step, m, v } = adam.state()?;
        self.put_scalar(format!("{prefix}/step"), step);
        self.put_vec(format!("{prefix}/m"), m);
        self.put_vec(format!("{prefix}/v"), v);
        Ok(())
    }

    /// Stores all entries of `other` as `prefix/name`.
    pub fn put_section(&mut self, prefix: &str, other: Self) {
        let prefixed = other
            .entries
            .into_iter()
            .map(|(name, entry)| (format!("{prefix}/{name}"), entry));
        self.entries.extend(prefixed);
    }

    /// The entries `prefix/name` as a state of their own.
    pub fn section(&self, prefix: &str) -> Self {
        let strip = |name: &str| Some(name.strip_prefix(prefix)?.strip_prefix('/')?.to_owned());
        let inside = self
            .entries
            .iter()
            .filter_map(|(name, entry)| Some((strip(name)?, entry.clone())));
        Self {
            entries: inside.collect(),
        }
    }

    fn entry<T: Element>(&self, name: &str) -> Result<(&[usize], &[T]), StateError> {
        let missing = || StateError::Missing {
            name: name.to_owned(),
        };
        let entry = self.entries.get(name).ok_or_else(missing)?;
        let kind = || StateError::Kind {
            name: name.to_owned(),
            found: entry.values.kind(),
            expected: T::KIND,
        };
        Ok((&entry.shape, T::view(&entry.values).ok_or_else(kind)?))
    }

    /// The array `name` of a known shape.
    ///
    /// # Errors
    /// If it is missing or has another shape or type.
    pub fn array<T: Element>(&self, name: &str, shape: &[usize]) -> Result<&[T], StateError> {
        let (found, values) = self.entry(name)?;
        if found != shape {
            let (found, expected) = (found.to_vec(), shape.to_vec());
            return Err(StateError::Shape {
                name: name.to_owned(),
                found,
                expected,
            });
        }
        Ok(values)
    }

    /// The values of `name`, whatever their shape.
    ///
    /// # Errors
    /// If it is missing or has another type.
    pub fn vec<T: Element>(&self, name: &str) -> Result<&[T], StateError> {
        Ok(self.entry(name)?.1)
    }

    /// The scalar `name`.
    ///
    /// # Errors
    /// If it is missing or has another shape or type.
    pub fn scalar<T: Element>(&self, name: &str) -> Result<T, StateError> {
        Ok(self.array(name, &[])?[0])
    }

    /// Overwrites a parameter buffer with the entry `name`.
    ///
    /// # Errors
    /// If it is missing or has another shape or type.
    pub fn load_params(&self, name: &str, params: &Params) -> Result<(), StateError> {
        Ok(params.set_from_slice(self.array(name, params.tensor().dims())?)?)
    }

    /// Overwrites an optimiser's state with what [`StateDict::put_adam`] stored.
    ///
    /// # Errors
    /// If an entry is missing or has another length or type.
    pub fn load_adam(&self, prefix: &str, adam: &mut Adam) -> Result<(), StateError> {
        let step = self.scalar(&format!("{prefix}/step"))?;
        let m = self.vec(&format!("{prefix}/m"))?.to_vec();
        let v = self.vec(&format!("{prefix}/v"))?.to_vec();
        Ok(adam.load_state(&AdamState { step, m, v })?)
    }

    /// The stream that continues the one stored as `name`.
    ///
    /// # Errors
    /// If it is missing or no stream.
    pub fn stream(&self, name: &str) -> Result<Stream, StateError> {
        let words = self.array::<u64>(name, &[4])?;
        let key = |word: u64| {
            let problem = format!("a stream key is a 32-bit word, found {word}");
            u32::try_from(word).map_err(|_| StateError::Value {
                name: name.to_owned(),
                problem,
            })
        };
        let key = [key(words[0])?, key(words[1])?];
        Ok(Stream::from_state(StreamState {
            key,
            stream: words[2],
            counter: words[3],
        }))
    }

    /// The first floating-point value that is NaN or infinite: name, flat index, value.
    pub fn first_non_finite(&self) -> Option<(&str, usize, f64)> {
        self.iter().find_map(|(name, entry)| {
            let (index, value) = match &entry.values {
                Values::F32(v) => v
                    .iter()
                    .map(|x| f64::from(*x))
                    .enumerate()
                    .find(|(_, x)| !x.is_finite())?,
                Values::F64(v) => v
                    .iter()
                    .copied()
                    .enumerate()
                    .find(|(_, x)| !x.is_finite())?,
                _ => return None,
            };
            Some((name, index, value))
        })
    }

    /// The state as the bytes of a safetensors file; the same state gives the same bytes.
    ///
    /// # Errors
    /// If the format refuses an entry.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let bytes: Vec<Vec<u8>> = self
            .entries
            .values()
            .map(|entry| entry.values.to_bytes())
            .collect();
        let mut views = Vec::with_capacity(bytes.len());
        for ((name, entry), bytes) in self.iter().zip(&bytes) {
            let view = TensorView::new(entry.values.dtype(), entry.shape.clone(), bytes)
                .map_err(format_error)?;
            views.push((name, view));
        }
        safetensors::serialize(views, None).map_err(format_error)
    }

    /// The state in the bytes of a safetensors file.
    ///
    /// # Errors
    /// If the bytes are no such file or hold an element type that a state does not have.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let file = SafeTensors::deserialize(bytes).map_err(format_error)?;
        let mut entries = BTreeMap::new();
        for (name, view) in file.tensors() {
            let unknown =
                || StateError::Format(format!("entry `{name}` has the type {:?}", view.dtype()));
            let values = Values::from_bytes(view.dtype(), view.data()).ok_or_else(unknown)?;
            entries.insert(
                name,
                Entry {
                    shape: view.shape().to_vec(),
                    values,
                },
            );
        }
        Ok(Self { entries })
    }
}

fn format_error(error: impl fmt::Display) -> StateError {
    StateError::Format(error.to_string())
}
