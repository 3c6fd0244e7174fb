//! Checks that configurations share.

use crate::error::AlgoError;

/// The smallest of the widths; 0 if there is none.
pub(crate) fn narrowest(hidden: &[usize]) -> u64 {
    hidden.iter().copied().min().unwrap_or(0) as u64
}

/// Refuses a count of zero.
pub(crate) fn at_least_one(counts: &[(&str, u64)]) -> Result<(), AlgoError> {
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((key, _)) => Err(AlgoError::value(key, "0", "give at least 1")),
        None => Ok(()),
    }
}

/// Refuses what is not a positive finite number.
pub(crate) fn positive(values: &[(&str, f64)]) -> Result<(), AlgoError> {
    match values.iter().find(|(_, v)| !(v.is_finite() && *v > 0.0)) {
        Some((key, value)) => Err(AlgoError::value(key, value, "give a positive number")),
        None => Ok(()),
    }
}

/// Refuses what is not a finite number of at least zero.
pub(crate) fn not_negative(values: &[(&str, f64)]) -> Result<(), AlgoError> {
    match values.iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
        Some((key, value)) => Err(AlgoError::value(key, value, "give 0 or a positive number")),
        None => Ok(()),
    }
}

/// Refuses what is not finite.
pub(crate) fn finite(values: &[(&str, f64)]) -> Result<(), AlgoError> {
    match values.iter().find(|(_, v)| !v.is_finite()) {
        Some((key, value)) => Err(AlgoError::value(key, value, "give a finite number")),
        None => Ok(()),
    }
}

/// Refuses what is not between 0 and 1.
pub(crate) fn unit_interval(values: &[(&str, f64)]) -> Result<(), AlgoError> {
    match values.iter().find(|(_, v)| !(0.0..=1.0).contains(v)) {
        Some((key, value)) => Err(AlgoError::value(
            key,
            value,
            "give a number between 0 and 1",
        )),
        None => Ok(()),
    }
}
