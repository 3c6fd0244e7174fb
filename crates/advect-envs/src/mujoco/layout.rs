//! Where MuJoCo 3.17.0 keeps what this crate reads: byte offsets into `mjModel` and `mjData`.
//!
//! They hold for that version on 64-bit platforms only. `dl` therefore refuses every other version and
//! compares each of them against a small model after loading the library. For another version, compile
//! and run a C program over the headers of its wheel (`mujoco/include`) that prints, for every field below,
//! `printf("%zu\n", offsetof(mjModel, FIELD))` and `offsetof(mjData, FIELD)`.

/// What `mj_version()` returns for 3.17.0.
pub(crate) const VERSION: i32 = 3_017_000;

/// Offsets into `mjModel`: sizes are 64-bit integers, the rest are pointers to f64 unless said otherwise.
pub(crate) mod model {
    pub(crate) const NQ: usize = 0;
    pub(crate) const NV: usize = 8;
    pub(crate) const NU: usize = 16;
    pub(crate) const NBODY: usize = 48;
    pub(crate) const NSITE: usize = 144;
    /// An f64, not a pointer.
    pub(crate) const TIMESTEP: usize = 792;
    pub(crate) const QPOS0: usize = 1792;
    pub(crate) const BODY_MASS: usize = 1944;
    pub(crate) const ACTUATOR_CTRLRANGE: usize = 4992;
}

/// Offsets into `mjData`: pointers to f64.
pub(crate) mod data {
    pub(crate) const QPOS: usize = 160_688;
    pub(crate) const QVEL: usize = 160_696;
    pub(crate) const CTRL: usize = 160_736;
    pub(crate) const XPOS: usize = 160_840;
    pub(crate) const XIPOS: usize = 160_864;
    pub(crate) const SITE_XPOS: usize = 160_912;
    pub(crate) const CINERT: usize = 160_976;
    pub(crate) const CVEL: usize = 161_280;
    pub(crate) const QFRC_ACTUATOR: usize = 161_408;
    pub(crate) const QFRC_CONSTRAINT: usize = 161_432;
    pub(crate) const CFRC_EXT: usize = 161_464;
}

/// Bits that select the parts of a state for `mj_getState`.
pub(crate) mod state {
    /// `mjSTATE_QPOS`
    pub(crate) const QPOS: i32 = 1 << 1;
    /// `mjSTATE_QVEL`
    pub(crate) const QVEL: i32 = 1 << 2;
    /// `mjSTATE_CTRL`
    pub(crate) const CTRL: i32 = 1 << 6;
    /// `mjSTATE_XFRC_APPLIED`
    pub(crate) const XFRC_APPLIED: i32 = 1 << 8;
    /// `mjSTATE_INTEGRATION`: all that the next step depends on, the warm start of the solver included.
    pub(crate) const INTEGRATION: i32 = (1 << 14) - 1;
}
