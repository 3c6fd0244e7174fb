//! Metrics of updates whose scalars still lie on the learner's device.

use advect_kernels::scalars::ScalarLog;
use candle_core::{Device, Result};

use crate::agent::{Label, Metrics};

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

/// An update whose scalars `labels` are in the log.
#[derive(Debug)]
struct Row {
    read: Read,
    labels: Vec<Label>,
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
        let labels = read.metrics.labels_unread();
        Ok(self.push_logged(read, labels))
    }

    /// The same of an update whose scalars `labels` are in the log already.
    pub(crate) fn push_logged(&mut self, read: Read, labels: Vec<Label>) -> bool {
        let (settled, most) = (labels.is_empty(), labels.len());
        self.rows.push(Row { read, labels });
        settled || self.rows.len() >= UPDATES || self.log.room() < most
    }

    /// All metrics since the last call; waits for the device.
    pub(crate) fn take(&mut self) -> Result<Vec<Read>> {
        let mut values = self.log.take()?.into_iter();
        let settled = |Row { mut read, labels }: Row| {
            for (label, value) in labels.into_iter().zip(&mut values) {
                read.metrics.insert_read(label, value);
            }
            read
        };
        Ok(self.rows.drain(..).map(settled).collect())
    }
}
