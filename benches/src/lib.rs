//! Benches of every layer.
