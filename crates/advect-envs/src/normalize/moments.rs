//! Mean and variance of rows that come in batches.

use crate::EnvError;
use crate::state::{StateReader, StateWriter};

/// Rows that the first mean 0 and the first variance 1 count as.
const PRIOR_COUNT: f64 = 1e-4;

/// Running mean and population variance of each column of rows that come in batches, in f64.
///
/// A batch of `n` rows with mean `m_b` and variance `v_b` joins the `N` rows before it, of mean `m` and variance `v`, by the pairwise form of
/// Welford's recursion (Chan, Golub and LeVeque 1979):
///
/// ```text
/// d = m_b - m
/// m <- m + d n / (N + n)
/// v <- (v N + v_b n + d^2 N n / (N + n)) / (N + n)
/// N <- N + n
/// ```
///
/// It starts with `m = 0`, `v = 1`, `N = 1e-4`, as Gymnasium's and OpenAI Baselines' do. Sums go through the rows in their order, so that
/// the same batches give the same bits.
///
/// ```
/// use advect_envs::normalize::RunningMoments;
/// let mut moments = RunningMoments::new("Example-v0", "observation", 2);
/// moments.update(&[1.0_f32, 10.0, 3.0, 10.0])?;
/// assert!((moments.mean()[0] - 2.0).abs() < 1e-3 && (moments.var()[0] - 1.0).abs() < 1e-3);
/// # Ok::<(), advect_envs::EnvError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RunningMoments {
    id: String,
    what: &'static str,
    mean: Vec<f64>,
    var: Vec<f64>,
    count: f64,
    updates: u64,
}

impl RunningMoments {
    /// Before the first row of `dim` columns; errors name `id` and call a row `what`.
    pub fn new(id: &str, what: &'static str, dim: usize) -> Self {
        Self {
            id: id.to_owned(),
            what,
            mean: vec![0.0; dim],
            var: vec![1.0; dim],
            count: PRIOR_COUNT,
            updates: 0,
        }
    }

    /// Mean of each column.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Population variance of each column.
    pub fn var(&self) -> &[f64] {
        &self.var
    }

    /// Number of rows, plus 1e-4.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Number of columns.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Numbers in a row; a row without columns counts as one number that nothing reads.
    pub(super) fn row_len(&self) -> usize {
        self.dim().max(1)
    }

    /// Takes in a batch of rows `[n * dim]`; nothing changes if it is refused.
    ///
    /// # Errors
    /// [`EnvError::BadLength`] for half a row; [`EnvError::NonFinite`], which names the row as the environment and the update as the step.
    pub fn update<T: Copy + Into<f64>>(&mut self, rows: &[T]) -> Result<(), EnvError> {
        self.check(rows)?;
        self.updates += 1;
        let len = rows.len() / self.row_len();
        if len > 0 {
            let (mean, var) = self.batch(rows, len as f64);
            self.join(&mean, &var, len as f64);
        }
        Ok(())
    }

    /// Refuses what is no rows of finite numbers.
    pub(super) fn check<T: Copy + Into<f64>>(&self, rows: &[T]) -> Result<(), EnvError> {
        self.check_len(rows.len())?;
        match rows.iter().position(|x| !(*x).into().is_finite()) {
            None => Ok(()),
            Some(bad) => Err(EnvError::NonFinite {
                id: self.id.clone(),
                env: bad / self.row_len(),
                what: self.what,
                index: bad % self.row_len(),
                step: self.updates + 1,
            }),
        }
    }

    /// Refuses a length of half a row.
    pub(super) fn check_len(&self, found: usize) -> Result<(), EnvError> {
        let wanted = found.next_multiple_of(self.row_len());
        if found == wanted {
            return Ok(());
        }
        Err(EnvError::BadLength {
            id: self.id.clone(),
            what: self.what,
            wanted,
            found,
        })
    }

    /// Mean and variance of a batch of `len` rows.
    fn batch<T: Copy + Into<f64>>(&self, rows: &[T], len: f64) -> (Vec<f64>, Vec<f64>) {
        let (mut mean, mut var) = (vec![0.0; self.dim()], vec![0.0; self.dim()]);
        for row in rows.chunks_exact(self.row_len()) {
            for (sum, x) in mean.iter_mut().zip(row) {
                *sum += (*x).into();
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= len);
        for row in rows.chunks_exact(self.row_len()) {
            for ((sum, x), mean) in var.iter_mut().zip(row).zip(&mean) {
                let apart = (*x).into() - mean;
                *sum += apart * apart;
            }
        }
        var.iter_mut().for_each(|sum| *sum /= len);
        (mean, var)
    }

    fn join(&mut self, mean: &[f64], var: &[f64], len: f64) {
        let total = self.count + len;
        for (column, (mean, var)) in mean.iter().zip(var).enumerate() {
            let apart = mean - self.mean[column];
            let between = apart * apart * self.count * len / total;
            self.mean[column] += apart * len / total;
            self.var[column] = (self.var[column] * self.count + var * len + between) / total;
        }
        self.count = total;
    }

    /// Everything that a bit-exact continuation needs.
    pub fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .u64(self.dim() as u64)
            .u64(self.updates)
            .f64s(&[self.count])
            .f64s(&self.mean)
            .f64s(&self.var)
            .finish()
    }

    /// Continues from what [`RunningMoments::save_state`] wrote.
    ///
    /// # Errors
    /// [`EnvError::BadState`]; nothing is changed then.
    pub fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.id, state);
        let (dim, updates) = (reader.u64()?, reader.u64()?);
        if dim != self.dim() as u64 {
            return Err(reader.bad(format!("moments of {dim} columns, {} here", self.dim())));
        }
        let count = reader.f64()?;
        let (mut mean, mut var) = (vec![0.0; self.dim()], vec![0.0; self.dim()]);
        reader.f64s(&mut mean)?;
        reader.f64s(&mut var)?;
        let sound = |x: &f64| x.is_finite() && *x >= 0.0;
        let is_sound = sound(&count) && var.iter().all(sound) && mean.iter().all(|m| m.is_finite());
        if !is_sound {
            return Err(reader.bad("its moments are not finite, or negative".to_owned()));
        }
        reader.finish()?;
        (self.updates, self.count) = (updates, count);
        (self.mean, self.var) = (mean, var);
        Ok(())
    }
}
