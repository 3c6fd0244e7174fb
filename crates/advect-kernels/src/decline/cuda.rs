//! The same on a CUDA device.

use candle_core::{Device, Result, Tensor};

use super::Decline;
use crate::cuda::{Module, elements, filled, launch};
use crate::graph::{Position, place};

const DECLINE: Module = Module {
    name: "advect_decline",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/decline.ptx")),
};

/// The value `[1]` at that count of updates.
pub(super) fn at(decline: &Decline, updates: Position, device: &Device) -> Result<Tensor> {
    let Decline {
        high,
        low,
        total,
        first,
        every,
        per,
    } = *decline;
    let (total, per, updates) = (total as f64, per.max(1), place(updates)?);
    filled(device, 1, |device, out| {
        launch!(device, DECLINE, "decline", elements(1);
            out, &updates, &high, &low, &total, &first, &every, &per);
        Ok(())
    })
}
