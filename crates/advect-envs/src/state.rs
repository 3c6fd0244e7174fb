//! Saved states as bytes: little-endian numbers behind one another, checked when they are read.

use advect_rng::{Stream, StreamState};

use crate::EnvError;

/// Appends numbers to a saved state.
#[derive(Debug, Default)]
pub struct StateWriter {
    bytes: Vec<u8>,
}

impl StateWriter {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends one byte.
    pub fn u8(mut self, value: u8) -> Self {
        self.bytes.push(value);
        self
    }

    /// Appends an unsigned integer.
    pub fn u32(mut self, value: u32) -> Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// Appends an unsigned integer.
    pub fn u64(mut self, value: u64) -> Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// Appends numbers, their bits as they are.
    pub fn f64s(mut self, values: &[f64]) -> Self {
        for value in values {
            self.bytes.extend(value.to_le_bytes());
        }
        self
    }

    /// Appends numbers, their bits as they are.
    pub fn f32s(mut self, values: &[f32]) -> Self {
        for value in values {
            self.bytes.extend(value.to_le_bytes());
        }
        self
    }

    /// Appends the length of `bytes` and then the bytes.
    pub fn block(self, bytes: &[u8]) -> Self {
        let mut with_len = self.u64(bytes.len() as u64);
        with_len.bytes.extend(bytes);
        with_len
    }

    /// Appends the position of a random stream.
    pub fn stream(self, stream: &Stream) -> Self {
        let state = stream.state();
        self.u32(state.key[0])
            .u32(state.key[1])
            .u64(state.stream)
            .u64(state.counter)
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what a [`StateWriter`] wrote, in the same order.
#[derive(Debug)]
pub struct StateReader<'a> {
    id: &'a str,
    rest: &'a [u8],
}

impl<'a> StateReader<'a> {
    /// Reads `bytes`; errors name `id`.
    pub fn new(id: &'a str, bytes: &'a [u8]) -> Self {
        Self { id, rest: bytes }
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if no byte is left.
    pub fn u8(&mut self) -> Result<u8, EnvError> {
        Ok(self.array::<1>()?[0])
    }

    /// Reads an unsigned integer.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if too few bytes are left.
    pub fn u32(&mut self) -> Result<u32, EnvError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Reads an unsigned integer.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if too few bytes are left.
    pub fn u64(&mut self) -> Result<u64, EnvError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reads one number.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if too few bytes are left.
    pub fn f64(&mut self) -> Result<f64, EnvError> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// Fills `out` with numbers.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if too few bytes are left.
    pub fn f64s(&mut self, out: &mut [f64]) -> Result<(), EnvError> {
        for value in out {
            *value = self.f64()?;
        }
        Ok(())
    }

    /// Fills `out` with numbers.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if too few bytes are left.
    pub fn f32s(&mut self, out: &mut [f32]) -> Result<(), EnvError> {
        for value in out {
            *value = f32::from_le_bytes(self.array()?);
        }
        Ok(())
    }

    /// Reads a block of bytes behind its length.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if too few bytes are left.
    pub fn block(&mut self) -> Result<&'a [u8], EnvError> {
        let len = self.u64()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// Reads a random stream.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if too few bytes are left.
    pub fn stream(&mut self) -> Result<Stream, EnvError> {
        Ok(Stream::from_state(StreamState {
            key: [self.u32()?, self.u32()?],
            stream: self.u64()?,
            counter: self.u64()?,
        }))
    }

    /// All bytes that are left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if bytes are left.
    pub fn finish(self) -> Result<(), EnvError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.bad(format!("{} bytes too many", self.rest.len())))
    }

    /// The error for a state that does not fit.
    pub fn bad(&self, reason: String) -> EnvError {
        EnvError::BadState {
            id: self.id.to_owned(),
            reason,
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EnvError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], EnvError> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.bad(format!(
                "{len} more bytes expected, {} are left",
                self.rest.len()
            )));
        };
        self.rest = rest;
        Ok(head)
    }
}
