//! Names of things in a model, and simulations whose model differs from the compiled one in a few numbers.
#![allow(unsafe_code)] // reads and writes MuJoCo's structs through checked offsets, see `layout` and `self_test`

use std::ffi::{CString, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::{Data, Model};
use crate::EnvError;
use crate::mujoco::dl::guard;
use crate::mujoco::layout::{self, object};

/// Kinds of things that have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mujoco) enum Kind {
    Body,
    Site,
    Actuator,
}

impl Kind {
    fn number(self) -> c_int {
        match self {
            Self::Body => object::BODY,
            Self::Site => object::SITE,
            Self::Actuator => object::ACTUATOR,
        }
    }
}

/// Numbers of a model that may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mujoco) enum Field {
    /// Position of each body in its parent `[nbody * 3]`.
    BodyPos,
    /// Rotation of each body in its parent `[nbody * 4]`.
    BodyQuat,
    /// Position of each site in its body `[nsite * 3]`.
    SitePos,
    /// Gain of each actuator `[nu * 10]`.
    ActuatorGain,
    /// Bias of each actuator `[nu * 10]`.
    ActuatorBias,
}

impl Field {
    /// Kind of the things that have the numbers, and how many each has.
    pub(in crate::mujoco) fn of(self) -> (Kind, usize) {
        match self {
            Self::BodyPos => (Kind::Body, 3),
            Self::BodyQuat => (Kind::Body, 4),
            Self::SitePos => (Kind::Site, 3),
            Self::ActuatorGain | Self::ActuatorBias => (Kind::Actuator, 10),
        }
    }

    fn offset(self) -> usize {
        use layout::model;
        match self {
            Self::BodyPos => model::BODY_POS,
            Self::BodyQuat => model::BODY_QUAT,
            Self::SitePos => model::SITE_POS,
            Self::ActuatorGain => model::ACTUATOR_GAINPRM,
            Self::ActuatorBias => model::ACTUATOR_BIASPRM,
        }
    }
}

impl Model {
    /// Index of the thing with this name.
    ///
    /// # Errors
    /// [`EnvError::MujocoModel`] if the model has none.
    pub(in crate::mujoco) fn index_of(&self, kind: Kind, name: &str) -> Result<usize, EnvError> {
        let missing = || EnvError::MujocoModel {
            model: name.to_owned(),
            reason: format!("the model has no {kind:?} of this name"),
        };
        let c_name = CString::new(name).map_err(|_| missing())?;
        let find = self.api.mj_name2id;
        // SAFETY: the model is alive and the name is NUL-terminated.
        let index = unsafe { find(self.ptr.as_ptr(), kind.number(), c_name.as_ptr()) };
        usize::try_from(index).map_err(|_| missing())
    }

    /// The numbers of a field, thing after thing.
    pub(in crate::mujoco) fn field(&self, field: Field) -> &[f64] {
        self.numbers(field.offset(), self.field_len(field))
    }

    /// The numbers of a field to write to. What MuJoCo derived from them when it compiled the model stays as it was.
    pub(in crate::mujoco) fn field_mut(&mut self, field: Field) -> &mut [f64] {
        // SAFETY: 3.17.0 keeps a pointer to that many numbers there, as long as the model lives, and `&mut self` makes the
        // access exclusive.
        unsafe { super::numbers_mut(self.ptr, field.offset(), self.field_len(field)) }
    }

    fn field_len(&self, field: Field) -> usize {
        let (kind, each) = field.of();
        let things = match kind {
            Kind::Body => self.nbody,
            Kind::Site => self.nsite,
            Kind::Actuator => self.nu,
        };
        things * each
    }

    /// Another model with the same numbers, of the same [family](Model::family).
    ///
    /// # Errors
    /// [`EnvError::MujocoFailed`] if there is no memory for it.
    pub(in crate::mujoco) fn copy(&self) -> Result<Self, EnvError> {
        let copy = self.api.mj_copyModel;
        // SAFETY: the model is alive, and MuJoCo allocates the copy.
        let model = guard(|| unsafe { copy(ptr::null_mut(), self.ptr.as_ptr()) })?;
        let ptr = NonNull::new(model).ok_or_else(|| EnvError::MujocoFailed {
            message: "mj_copyModel returned no model (out of memory)".to_owned(),
        })?;
        Ok(Self {
            api: Arc::clone(&self.api),
            ptr,
            ..*self
        })
    }
}

impl Data {
    /// The simulation's model to write to. If others share the model, the simulation gets its own copy first.
    ///
    /// # Errors
    /// [`EnvError::MujocoFailed`] if there is no memory for a copy.
    pub(in crate::mujoco) fn model_mut(&mut self) -> Result<&mut Model, EnvError> {
        if Arc::get_mut(&mut self.model).is_none() {
            self.model = Arc::new(self.model.copy()?);
        }
        Arc::get_mut(&mut self.model).ok_or_else(|| EnvError::MujocoFailed {
            message: "a model that was just copied is shared".to_owned(),
        })
    }

    /// Goes on with another model of the same family, which has the same sizes.
    pub(in crate::mujoco) fn follow(&mut self, model: &Arc<Model>) {
        if self.model.family == model.family {
            self.model = Arc::clone(model);
        }
    }
}
