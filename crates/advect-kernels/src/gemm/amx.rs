//! Products of bf16 pairs on the tile unit (AMX): 32 rows by 32 columns of the output stay in four tile registers.
//!
//! Rust 1.95 has no stable intrinsics for the tile unit, so its six instructions are written as assembly.

use std::arch::asm;

use super::{BF16_ROWS, Product, Right, finish_tile, start_tile};
use crate::simd::Simd;

/// Rows and columns of the output per step; the left operand must be readable up to a multiple of it.
const BLOCK: usize = BF16_ROWS;
/// Pairs of bf16 values that one tile instruction consumes.
const PAIRS: usize = 16;

/// Shape of the eight tile registers: sixteen rows of 64 bytes each.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// All tiles in full.
static FULL: Config = {
    let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
    let mut tile = 0;
    while tile < 8 {
        row_bytes[tile] = 64;
        rows[tile] = 16;
        tile += 1;
    }
    Config {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes,
        rows,
    }
};

/// Whether the tile unit takes this product; otherwise the vector path does.
#[inline(always)]
pub(super) fn takes(p: &Product) -> bool {
    p.bf16
        && p.k.is_multiple_of(PAIRS)
        && p.n.is_multiple_of(BLOCK)
        && matches!(p.right, Right::Packed(_))
}

/// As [`super::multiply`] for a product that [`takes`].
///
/// # Safety
/// As [`super::multiply`]; the processor has the tile unit and the process may use it; the left operand is readable up
/// to a multiple of [`BLOCK`] rows.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd>(s: S, p: &Product) {
    let Right::Packed(panels) = p.right else {
        return;
    };
    let mut scratch = std::mem::MaybeUninit::<Tile>::uninit();
    let c = scratch.as_mut_ptr().cast::<f32>();
    // SAFETY: the caller's promise; `c` holds a whole output tile, panels are 32 columns wide.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const FULL, options(nostack, preserves_flags));
        for column in (0..p.n).step_by(BLOCK) {
            for row in (0..p.rows).step_by(BLOCK) {
                let rows = BLOCK.min(p.rows - row);
                start_tile(s, p, row, rows, column, BLOCK, c);
                let a = p.left.base.add(row * p.left.row_stride);
                accumulate(c, a, p.left.row_stride, panels.add(column * p.k), p.k);
                finish_tile(s, p, row, rows, column, BLOCK, c);
            }
        }
        asm!("tilerelease", options(nostack, preserves_flags));
    }
}

#[repr(align(64))]
struct Tile(#[allow(dead_code)] [f32; BLOCK * BLOCK]);

/// `C += A B` over `pairs` for one 32 x 32 tile: `a` has `a_ld` words per row, `b` 32 words per pair.
#[inline(always)]
unsafe fn accumulate(c: *mut f32, a: *const f32, a_ld: usize, b: *const f32, pairs: usize) {
    let (bytes, a_bytes) = (BLOCK * 4, a_ld * 4);
    // SAFETY: all tiles lie inside the operands, as the caller promises; the registers are declared below.
    unsafe {
        asm!(
            "tileloadd tmm0, [{c} + {bytes}]",
            "tileloadd tmm1, [{c} + {bytes} + 64]",
            "tileloadd tmm2, [{low} + {bytes}]",
            "tileloadd tmm3, [{low} + {bytes} + 64]",
            "2:",
            "tileloadd tmm4, [{a} + {a_bytes}]",
            "tileloadd tmm6, [{b} + {bytes}]",
            "tileloadd tmm7, [{b} + {bytes} + 64]",
            "tileloadd tmm5, [{a_low} + {a_bytes}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 64",
            "add {a_low}, 64",
            "add {b}, 2048",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{c} + {bytes}], tmm0",
            "tilestored [{c} + {bytes} + 64], tmm1",
            "tilestored [{low} + {bytes}], tmm2",
            "tilestored [{low} + {bytes} + 64], tmm3",
            c = in(reg) c,
            low = in(reg) c.add(16 * BLOCK),
            bytes = in(reg) bytes,
            a_bytes = in(reg) a_bytes,
            a = inout(reg) a => _,
            a_low = inout(reg) a.wrapping_add(16 * a_ld) => _,
            b = inout(reg) b => _,
            steps = inout(reg) pairs / PAIRS => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
