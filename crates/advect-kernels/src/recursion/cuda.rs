//! The same on a CUDA device, a thread for each sequence.

use candle_core::{Result, Tensor};

use super::Recursion;
use crate::cuda::{Module, address, count, elements, filled, launch};

const RECURSION: Module = Module {
    name: "advect_recursion",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/recursion.ptx")),
};

/// For a contiguous `v`.
pub(super) fn of(recursion: &Recursion, v: &Tensor) -> Result<Tensor> {
    let Recursion {
        x,
        keep,
        joined,
        sequences,
        gain,
        mix,
    } = recursion;
    let held = [x, keep, joined].map(|rows| rows.detach().contiguous());
    let [x, keep, joined] = held;
    let (x, keep, joined) = (x?, keep?, joined?);
    filled(v.device(), v.shape(), |device, out| {
        let (n, columns) = (count(v.elem_count())?, count((*sequences).max(1))?);
        let [x, keep, joined, v] = [
            address(&x)?,
            address(&keep)?,
            address(&joined)?,
            address(v)?,
        ];
        launch!(device, RECURSION, "recursion", elements(columns);
            &x, &keep, &joined, &v, out, gain, mix, &columns, &n);
        Ok(())
    })
}
