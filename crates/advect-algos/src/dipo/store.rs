//! Improved actions, kept by the number of the transition that they belong to.

use advect_kernels::KernelError;
use advect_rl::{StateDict, StateError};
use candle_core::{Result, Tensor};

/// No transition has this number.
const NONE: u64 = u64::MAX;

/// The improved action of every transition of the replay that has one: `[capacity, d]`, taken as it fills.
///
/// As in the replay, transition `i` lives in slot `i mod capacity`. A slot remembers the number of its transition, so an
/// action is forgotten when the replay overwrites the transition that it belonged to.
#[derive(Debug, Clone, PartialEq)]
pub struct ImprovedActions {
    capacity: usize,
    width: usize,
    numbers: Vec<u64>,
    act: Vec<f32>,
}

impl ImprovedActions {
    /// No improved action yet, for a replay of `capacity` transitions with actions of `width`.
    pub fn new(capacity: usize, width: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            width: width.max(1),
            numbers: Vec::new(),
            act: Vec::new(),
        }
    }

    /// The improved actions of transitions `numbers`; where there is none, the row of `act`.
    ///
    /// # Shapes
    /// `act` `[B, d]` to `[B, d]`.
    ///
    /// # Errors
    /// If `act` does not have a row for every number.
    pub fn read(&self, numbers: &[u64], act: &Tensor) -> Result<Tensor> {
        let mut values = self.rows(numbers, act)?;
        for (number, row) in numbers.iter().zip(values.chunks_exact_mut(self.width)) {
            let slot = self.slot(*number);
            if self.numbers.get(slot) == Some(number) {
                row.copy_from_slice(&self.act[slot * self.width..][..self.width]);
            }
        }
        Tensor::from_vec(values, act.shape(), act.device())
    }

    /// Keeps `act` `[B, d]` as the improved actions of transitions `numbers`.
    ///
    /// # Errors
    /// If `act` does not have a row for every number.
    pub fn write(&mut self, numbers: &[u64], act: &Tensor) -> Result<()> {
        let values = self.rows(numbers, act)?;
        for (number, row) in numbers.iter().zip(values.chunks_exact(self.width)) {
            let slot = self.slot(*number);
            self.grow(slot + 1);
            self.numbers[slot] = *number;
            self.act[slot * self.width..][..self.width].copy_from_slice(row);
        }
        Ok(())
    }

    /// The values of `act`, one row per number.
    fn rows(&self, numbers: &[u64], act: &Tensor) -> Result<Vec<f32>> {
        let wanted = [numbers.len(), self.width];
        if act.dims() != wanted {
            let error = KernelError::Shape {
                op: "ImprovedActions",
                tensor: "act",
                found: act.dims().to_vec(),
                expected: format!("{wanted:?}: a row for every transition's number"),
            };
            return Err(error.into());
        }
        act.flatten_all()?.to_vec1()
    }

    fn slot(&self, number: u64) -> usize {
        (number % self.capacity as u64) as usize
    }

    fn grow(&mut self, slots: usize) {
        if self.numbers.len() < slots {
            self.numbers.resize(slots, NONE);
            self.act.resize(slots * self.width, 0.0);
        }
    }

    /// Writes numbers and actions as `{prefix}/numbers` and `{prefix}/act`.
    ///
    /// # Errors
    /// If an entry is refused.
    pub fn save(&self, prefix: &str, out: &mut StateDict) -> std::result::Result<(), StateError> {
        let shape = [self.numbers.len(), self.width];
        out.put_vec(format!("{prefix}/numbers"), self.numbers.clone());
        out.put_array(format!("{prefix}/act"), &shape, self.act.clone())
    }

    /// Continues from what [`ImprovedActions::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, prefix: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        let name = format!("{prefix}/numbers");
        let numbers = from.vec::<u64>(&name)?;
        if numbers.len() > self.capacity {
            return Err(StateError::Shape {
                name,
                found: vec![numbers.len()],
                expected: vec![self.capacity],
            });
        }
        let shape = [numbers.len(), self.width];
        self.act = from.array(&format!("{prefix}/act"), &shape)?.to_vec();
        self.numbers = numbers.to_vec();
        Ok(())
    }
}
