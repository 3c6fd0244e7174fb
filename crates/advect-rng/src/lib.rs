//! Seeded counter-based random streams (Philox 4x32-10) and their draws.
