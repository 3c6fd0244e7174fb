//! Which function computes which case.

use crate::case::Case;
use crate::cases;
use crate::error::GoldenError;
use crate::outputs::Outputs;

/// Computes the outputs of a case from its inputs and configuration.
pub type CaseFn = fn(&Case) -> Result<Outputs, GoldenError>;

/// What is known about a case name.
pub enum Entry {
    /// This function computes it.
    Implemented(CaseFn),
    /// A case of an algorithm or network that the workspace does not have yet.
    NotImplemented,
}

const TABLES: &[&[(&str, CaseFn)]] = &[
    cases::density::CASES,
    cases::embed::CASES,
    cases::flame::CASES,
    cases::flame_m::CASES,
    cases::flame_r::CASES,
    cases::fmer::CASES,
    cases::kernel::CASES,
    cases::mlp::CASES,
    cases::ode::CASES,
    cases::on_policy::CASES,
    cases::optim::CASES,
    cases::proposals::CASES,
    cases::qvpo::CASES,
    cases::residual::CASES,
    cases::rldt::CASES,
    cases::sac::CASES,
];

/// Cases of the contract without a function.
const NOT_IMPLEMENTED: &[&str] = &[
    "fm_irl.disc_loss",
    "fm_irl.losses",
    "fm_irl.teacher",
    "fm_irl.times",
];

/// Looks a case name up.
///
/// # Errors
/// If the contract has no case of that name.
pub fn lookup(name: &str) -> Result<Entry, GoldenError> {
    let mut rows = TABLES.iter().copied().flatten();
    if let Some((_, compute)) = rows.find(|(known, _)| *known == name) {
        return Ok(Entry::Implemented(*compute));
    }
    match NOT_IMPLEMENTED.contains(&name) {
        true => Ok(Entry::NotImplemented),
        false => Err(GoldenError::UnknownCase(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_case_name_occurs_once() {
        let implemented = TABLES.iter().copied().flatten().map(|(name, _)| *name);
        let mut seen = BTreeSet::new();
        for name in implemented.chain(NOT_IMPLEMENTED.iter().copied()) {
            assert!(seen.insert(name), "`{name}` occurs twice in the registry");
        }
    }
}
