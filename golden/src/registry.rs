//! Which function computes which case.

use crate::case::Case;
use crate::cases;
use crate::error::GoldenError;
use crate::outputs::Outputs;

/// Computes the outputs of a case from its inputs and configuration.
pub type CaseFn = fn(&Case) -> Result<Outputs, GoldenError>;

const TABLES: &[&[(&str, CaseFn)]] = &[
    cases::density::CASES,
    cases::embed::CASES,
    cases::flame::CASES,
    cases::flame_m::CASES,
    cases::flame_r::CASES,
    cases::fm_irl::CASES,
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

/// Looks a case name up.
///
/// # Errors
/// If the contract has no case of that name.
pub fn lookup(name: &str) -> Result<CaseFn, GoldenError> {
    let mut rows = TABLES.iter().copied().flatten();
    let row = rows.find(|(known, _)| *known == name);
    row.map(|(_, compute)| *compute)
        .ok_or_else(|| GoldenError::UnknownCase(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_case_name_occurs_once() {
        let mut seen = BTreeSet::new();
        for (name, _) in TABLES.iter().copied().flatten() {
            assert!(seen.insert(name), "`{name}` occurs twice in the registry");
        }
    }
}
