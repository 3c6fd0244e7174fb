//! `flame.proposals`: truncated-normal proposals.

use advect_kernels::truncnorm;
use candle_core::DType;

use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry::CaseFn;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[("flame.proposals", proposals)];

fn proposals(case: &Case) -> Result<Outputs, GoldenError> {
    let t = case.input("t")?.to_dtype(DType::F64)?;
    let rest = t.affine(-1.0, 1.0)?;
    let convention: String = case.config("convention")?;
    let (c_a, c_eps) = match convention.as_str() {
        "noise_up" => (rest, t),
        "data_up" => (t, rest),
        other => return Err(GoldenError::unknown_choice("convention", other)),
    };
    let (a, eps) = truncnorm::propose(&case.input("z")?, &c_a, &c_eps, &case.input("u")?)?;
    Ok(Outputs::new().with("a", a).with("eps", eps))
}
