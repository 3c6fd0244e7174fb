//! Metrics of updates whose scalars still lie on the learner's device.

use std::borrow::Cow;

use advect_kernels::scalars::ScalarLog;
use candle_core::{Device, Result};

use crate::agent::Metrics;

/// Updates whose metrics a device keeps before it is waited for.
const UPDATES: usize = 64;

/// The metrics of an update.
#[derive(Debug)]
pub(crate) struct Read {
    /// Environment steps and updates at that time.
    pub(crate) env_steps: u64,
    pub(crate) updates: u64,
    pub(crate) metrics: Metrics,
}

/// An update whose scalars `names` are in the log.
#[derive(Debug)]
struct Row {
    read: Read,
    names: Vec<Cow<'static, str>>,
}

/// Metrics of the last updates, in their order.
#[derive(Debug)]
pub(crate) struct Unread {
    log: ScalarLog,
    rows: Vec<Row>,
}

impl Unread {
    pub(crate) fn new(device: &Device) -> Result<Self> {
        Ok(Self {
            log: ScalarLog::new(device)?,
            rows: Vec::new(),
        })
    }

    /// Where a graph's launches put scalars.
    pub(crate) fn log(&mut self) -> &mut ScalarLog {
        &mut self.log
    }

    /// Keeps an update's metrics; whether it is time to read them, which on the host is always.
    pub(crate) fn push(&mut self, mut read: Read) -> Result<bool> {
        self.log.push(&read.metrics.unread())?;
        let names = read.metrics.names_unread();
        Ok(self.push_logged(read, names))
    }

    /// The same of an update whose scalars `names` are in the log already.
    pub(crate) fn push_logged(&mut self, read: Read, names: Vec<Cow<'static, str>>) -> bool {
        let (settled, most) = (names.is_empty(), names.len());
        self.rows.push(Row { read, names });
        settled || self.rows.len() >= UPDATES || self.log.room() < most
    }

    /// All metrics since the last call; waits for the device.
    pub(crate) fn take(&mut self) -> Result<Vec<Read>> {
        let mut values = self.log.take()?.into_iter();
        let settled = |Row { mut read, names }: Row| {
            for (name, value) in names.into_iter().zip(&mut values) {
                read.metrics.insert(name, value);
            }
            read
        };
        Ok(self.rows.drain(..).map(settled).collect())
    }
}
