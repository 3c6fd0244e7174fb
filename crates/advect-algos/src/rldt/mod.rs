//! RLDT: fine-tunes a pretrained flow policy by density transport (arXiv 2606.08602; rldt.md).
//!
//! One file per equation; noise is an argument everywhere.

pub mod critic;
pub mod field;
pub mod landing;
pub mod loss;
