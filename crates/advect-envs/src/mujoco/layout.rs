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
    pub(crate) const NEQ: usize = 472;
    pub(crate) const NMOCAP: usize = 568;
    pub(crate) const NSENSORDATA: usize = 744;
    /// An f64, not a pointer.
    pub(crate) const TIMESTEP: usize = 792;
    /// An int, as are the next three.
    pub(crate) const OFF_WIDTH: usize = 1132;
    pub(crate) const OFF_HEIGHT: usize = 1136;
    pub(crate) const SHADOW_SIZE: usize = 1148;
    pub(crate) const OFF_SAMPLES: usize = 1152;
    pub(crate) const QPOS0: usize = 1792;
    pub(crate) const BODY_POS: usize = 1912;
    pub(crate) const BODY_QUAT: usize = 1920;
    pub(crate) const BODY_MASS: usize = 1944;
    /// Points to ints.
    pub(crate) const EQ_TYPE: usize = 4408;
    pub(crate) const EQ_DATA: usize = 4464;
    pub(crate) const SITE_POS: usize = 2688;
    /// Ten numbers for each actuator, as is the next.
    pub(crate) const ACTUATOR_GAINPRM: usize = 4856;
    pub(crate) const ACTUATOR_BIASPRM: usize = 4864;
    pub(crate) const ACTUATOR_CTRLRANGE: usize = 4992;
}

/// Numbers of an equality constraint in `eq_data`.
pub(crate) const EQ_NUMBERS: usize = 12;
/// `mjEQ_WELD`
pub(crate) const WELD: i32 = 1;

/// Offsets into `mjData`: pointers to f64.
pub(crate) mod data {
    pub(crate) const QPOS: usize = 160_688;
    pub(crate) const QVEL: usize = 160_696;
    pub(crate) const CTRL: usize = 160_736;
    pub(crate) const MOCAP_POS: usize = 160_768;
    pub(crate) const MOCAP_QUAT: usize = 160_776;
    pub(crate) const SENSORDATA: usize = 160_808;
    pub(crate) const XPOS: usize = 160_840;
    pub(crate) const XQUAT: usize = 160_848;
    pub(crate) const XIPOS: usize = 160_864;
    pub(crate) const SITE_XPOS: usize = 160_912;
    pub(crate) const SITE_XMAT: usize = 160_920;
    pub(crate) const CINERT: usize = 160_976;
    pub(crate) const CVEL: usize = 161_280;
    pub(crate) const QFRC_ACTUATOR: usize = 161_408;
    pub(crate) const QFRC_CONSTRAINT: usize = 161_432;
    pub(crate) const CFRC_EXT: usize = 161_464;
}

/// Numbers that name kinds of things for `mj_name2id`.
pub(crate) mod object {
    /// `mjOBJ_BODY`
    pub(crate) const BODY: i32 = 1;
    /// `mjOBJ_SITE`
    pub(crate) const SITE: i32 = 6;
    /// `mjOBJ_ACTUATOR`
    pub(crate) const ACTUATOR: i32 = 19;
}

/// `mjvScene`: its size, and offsets into it.
pub(crate) mod scene {
    pub(crate) const SIZE: usize = 11_584;
    /// An int, as is the next.
    pub(crate) const MAX_SHAPES: usize = 0;
    pub(crate) const SHAPES: usize = 4;
    /// A byte for each effect.
    pub(crate) const FLAGS: usize = 11_548;
    /// Number of the effect `mjRND_SHADOW`.
    pub(crate) const SHADOW: usize = 0;
    /// Number of the effect `mjRND_REFLECTION`.
    pub(crate) const REFLECTION: usize = 2;
}

/// `mjrContext`: its size, and offsets into it, all of ints.
pub(crate) mod buffers {
    pub(crate) const SIZE: usize = 61_512;
    pub(crate) const WIDTH: usize = 40;
    pub(crate) const HEIGHT: usize = 44;
    pub(crate) const CURRENT: usize = 61_500;
}

/// `sizeof(mjvOption)`
pub(crate) const OPTION_SIZE: usize = 92;
/// Offset of its field `bvh_depth`, an int.
pub(crate) const OPTION_DEPTH: usize = 84;
/// `sizeof(mjvPerturb)`
pub(crate) const PERTURB_SIZE: usize = 144;
/// Offset of its last field `scale`, an f64.
pub(crate) const PERTURB_SCALE: usize = 136;

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
