//! Compiled models and simulations: safe access to what [`super::layout`] describes.
#![allow(unsafe_code)] // reads MuJoCo's structs through checked offsets, see `layout` and `self_test`

mod edit;
mod view;

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::dl::{Api, Opaque, guard};
use super::layout;
use crate::{EnvError, EnvSpec};

pub(super) use edit::{Field, Kind};
pub(super) use view::View;

/// How many models have been compiled.
static COMPILED: AtomicU64 = AtomicU64::new(0);

/// A compiled model: the constant description that any number of simulations share.
pub struct Model {
    api: Arc<Api>,
    ptr: NonNull<Opaque>,
    nq: usize,
    nv: usize,
    nu: usize,
    nbody: usize,
    nsite: usize,
    nsensordata: usize,
    family: u64,
    view: Option<View>,
}

// SAFETY: MuJoCo only reads an mjModel while simulating, and this type writes to it through `&mut self` only.
unsafe impl Send for Model {}
// SAFETY: as above; simulating one model from many threads is documented use.
unsafe impl Sync for Model {}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("nq", &self.nq)
            .field("nv", &self.nv)
            .field("nu", &self.nu)
            .field("nbody", &self.nbody)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Compiles an MJCF file.
    ///
    /// # Errors
    /// Those of finding and opening MuJoCo; [`EnvError::MujocoModel`] with MuJoCo's message.
    pub fn from_xml_path(path: &Path) -> Result<Self, EnvError> {
        let mut model = Self::compile(&Api::get()?, &path.display().to_string(), None)?;
        model.draw_plainly();
        Ok(model)
    }

    /// Compiles MJCF text.
    ///
    /// # Errors
    /// As [`Model::from_xml_path`].
    pub fn from_xml_str(xml: &str) -> Result<Self, EnvError> {
        let mut model = Self::compile(&Api::get()?, "text.xml", Some(xml))?;
        model.draw_plainly();
        Ok(model)
    }

    /// Compiles the file `name`, or `text` under that name.
    pub(super) fn compile(
        api: &Arc<Api>,
        name: &str,
        text: Option<&str>,
    ) -> Result<Self, EnvError> {
        let bad = |reason: String| EnvError::MujocoModel {
            model: name.to_owned(),
            reason,
        };
        let c_name = CString::new(name).map_err(|e| bad(e.to_string()))?;
        let mut message = [0 as c_char; 1024];
        let files = Files::new(api, &c_name, text).ok_or_else(|| bad("text too long".into()))?;
        // SAFETY: the name is NUL-terminated, the files live until after the call, and the message has the length given.
        let model = guard(|| unsafe {
            (api.mj_loadXML)(
                c_name.as_ptr(),
                &files.vfs,
                message.as_mut_ptr(),
                message.len() as c_int,
            )
        })?;
        // SAFETY: MuJoCo leaves a NUL-terminated string there, if only the empty one put in above.
        let message = unsafe { CStr::from_ptr(message.as_ptr()) };
        let ptr = NonNull::new(model).ok_or_else(|| bad(message.to_string_lossy().into_owned()))?;
        let mut model = Self {
            api: Arc::clone(api),
            ptr,
            nq: 0,
            nv: 0,
            nu: 0,
            nbody: 0,
            nsite: 0,
            nsensordata: 0,
            family: COMPILED.fetch_add(1, Ordering::Relaxed),
            view: None,
        };
        model.nq = model.size(layout::model::NQ);
        model.nv = model.size(layout::model::NV);
        model.nu = model.size(layout::model::NU);
        model.nbody = model.size(layout::model::NBODY);
        model.nsite = model.size(layout::model::NSITE);
        model.nsensordata = model.size(layout::model::NSENSORDATA);
        Ok(model)
    }

    /// Asks for no shadows, no multisampling and a small buffer, which drawing in software could not afford.
    ///
    /// Only frames read these settings, and only a model that nobody shares yet is written to.
    fn draw_plainly(&mut self) {
        let settings = [
            (layout::model::OFF_WIDTH, 84),
            (layout::model::OFF_HEIGHT, 84),
            (layout::model::SHADOW_SIZE, 0),
            (layout::model::OFF_SAMPLES, 0),
        ];
        for (offset, value) in settings {
            // SAFETY: the model is alive, 3.17.0 keeps this int there, and `&mut self` makes the access exclusive.
            unsafe { self.ptr.byte_add(offset).cast::<c_int>().write(value) }
        }
    }

    /// The settings that [`Model::draw_plainly`] changes: width, height, shadow size, samples.
    pub(super) fn drawing(&self) -> [c_int; 4] {
        use layout::model::{OFF_HEIGHT, OFF_SAMPLES, OFF_WIDTH, SHADOW_SIZE};
        [OFF_WIDTH, OFF_HEIGHT, SHADOW_SIZE, OFF_SAMPLES].map(|offset| {
            // SAFETY: the model is alive and 3.17.0 keeps this int there.
            unsafe { self.ptr.byte_add(offset).cast().read() }
        })
    }

    /// The functions of the library that compiled it.
    pub(super) fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// MuJoCo's model, to be read only.
    pub(super) fn as_ptr(&self) -> *const Opaque {
        self.ptr.as_ptr()
    }

    /// Length of `qpos`.
    pub fn nq(&self) -> usize {
        self.nq
    }

    /// Length of `qvel`.
    pub fn nv(&self) -> usize {
        self.nv
    }

    /// Length of `ctrl`.
    pub fn nu(&self) -> usize {
        self.nu
    }

    /// Number of bodies, the world included.
    pub fn nbody(&self) -> usize {
        self.nbody
    }

    /// Number of sites.
    pub fn nsite(&self) -> usize {
        self.nsite
    }

    /// Numbers of all sensors together.
    pub fn nsensordata(&self) -> usize {
        self.nsensordata
    }

    /// What a model has in common with its copies, which have the same sizes, shapes and textures, and with no other.
    pub(super) fn family(&self) -> u64 {
        self.family
    }

    /// Length of a physics step, seconds.
    pub fn timestep(&self) -> f64 {
        // SAFETY: the model is alive and 3.17.0 keeps this f64 there.
        unsafe { self.ptr.byte_add(layout::model::TIMESTEP).cast().read() }
    }

    /// Positions of the reference pose `[nq]`.
    pub fn qpos0(&self) -> &[f64] {
        self.numbers(layout::model::QPOS0, self.nq)
    }

    /// Mass of each body `[nbody]`.
    pub fn body_mass(&self) -> &[f64] {
        self.numbers(layout::model::BODY_MASS, self.nbody)
    }

    /// Lower and upper bound of each control, in pairs `[nu * 2]`.
    pub fn ctrl_range(&self) -> &[f64] {
        self.numbers(layout::model::ACTUATOR_CTRLRANGE, 2 * self.nu)
    }

    /// The size at `offset`, one of [`layout::model`].
    pub(super) fn size(&self, offset: usize) -> usize {
        // SAFETY: the model is alive and 3.17.0 keeps this 64-bit size there.
        let size: i64 = unsafe { self.ptr.byte_add(offset).cast().read() };
        usize::try_from(size).unwrap_or(0)
    }

    /// The `len` numbers of the field at `offset`, one of [`layout::model`].
    pub(super) fn numbers(&self, offset: usize, len: usize) -> &[f64] {
        // SAFETY: 3.17.0 keeps a pointer to that many numbers there, as long as the model lives.
        unsafe { numbers(self.ptr, offset, len) }
    }

    /// As [`Model::numbers`], to be written while nobody shares the model.
    pub(super) fn numbers_mut(&mut self, offset: usize, len: usize) -> &mut [f64] {
        // SAFETY: as in `numbers`, and `&mut self` makes the access exclusive.
        unsafe { numbers_mut(self.ptr, offset, len) }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: the pointer came from mj_loadXML or mj_copyModel and is freed once; every Data holds the model by Arc.
        unsafe { (self.api.mj_deleteModel)(self.ptr.as_ptr()) }
    }
}

/// Files in memory for the compiler; none where the model is a file on disk.
struct Files<'a> {
    api: &'a Api,
    vfs: *mut Opaque,
}

impl<'a> Files<'a> {
    fn new(api: &'a Api, name: &CStr, text: Option<&str>) -> Option<Self> {
        let mut files = Self {
            api,
            vfs: ptr::null_mut(),
        };
        // SAFETY: an mjVFS is one pointer, which this call initialises.
        unsafe { (api.mj_defaultVFS)(&mut files.vfs) };
        if let Some(text) = text {
            let len = c_int::try_from(text.len()).ok()?;
            // SAFETY: MuJoCo copies `len` bytes of the text.
            unsafe {
                (api.mj_addBufferVFS)(&mut files.vfs, name.as_ptr(), text.as_ptr().cast(), len)
            };
        }
        Some(files)
    }
}

impl Drop for Files<'_> {
    fn drop(&mut self) {
        // SAFETY: initialised by mj_defaultVFS and deleted once.
        unsafe { (self.api.mj_deleteVFS)(&mut self.vfs) }
    }
}

/// One simulation of a model.
pub struct Data {
    model: Arc<Model>,
    ptr: NonNull<Opaque>,
    /// The message of an error that MuJoCo raised, after which the simulation is not touched again.
    failed: Option<String>,
}

// SAFETY: an mjData is plain memory without thread affinity; it is written through `&mut self` only.
unsafe impl Send for Data {}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data")
            .field("qpos", &self.qpos())
            .field("qvel", &self.qvel())
            .finish_non_exhaustive()
    }
}

impl Data {
    /// A simulation in the model's reference pose.
    ///
    /// # Errors
    /// [`EnvError::MujocoFailed`] if MuJoCo cannot allocate it.
    pub fn new(model: Arc<Model>) -> Result<Self, EnvError> {
        // SAFETY: the model is alive.
        let data = guard(|| unsafe { (model.api.mj_makeData)(model.ptr.as_ptr()) })?;
        let ptr = NonNull::new(data).ok_or_else(|| EnvError::MujocoFailed {
            message: "mj_makeData returned no simulation (out of memory)".to_owned(),
        })?;
        Ok(Self {
            model,
            ptr,
            failed: None,
        })
    }

    /// The model that is simulated.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// `mj_resetData`: back to the reference pose, everything else zero.
    ///
    /// # Errors
    /// [`EnvError::MujocoFailed`].
    pub fn reset(&mut self) -> Result<(), EnvError> {
        self.call(|api, model, data| {
            // SAFETY: `call` passes the live model and its simulation.
            unsafe { (api.mj_resetData)(model, data) }
        })
    }

    /// The reference pose with other positions and velocities; [`Data::forward`] completes the reset. Errors name the task.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], [`EnvError::MujocoFailed`].
    pub(super) fn start_from(
        &mut self,
        task: &EnvSpec,
        qpos: &[f64],
        qvel: &[f64],
    ) -> Result<(), EnvError> {
        task.check_len("qpos", self.model.nq, qpos.len())?;
        task.check_len("qvel", self.model.nv, qvel.len())?;
        self.reset()?;
        self.qpos_mut().copy_from_slice(qpos);
        self.qvel_mut().copy_from_slice(qvel);
        Ok(())
    }

    /// `mj_forward`: all quantities that follow from positions, velocities and controls.
    ///
    /// # Errors
    /// [`EnvError::MujocoFailed`].
    pub fn forward(&mut self) -> Result<(), EnvError> {
        self.call(|api, model, data| {
            // SAFETY: `call` passes the live model and its simulation.
            unsafe { (api.mj_forward)(model, data) }
        })
    }

    /// `steps` times `mj_step`, then `mj_rnePostConstraint` if `contact_forces` (it fills `cfrc_ext`).
    ///
    /// # Errors
    /// [`EnvError::MujocoFailed`].
    pub fn step(&mut self, steps: u32, contact_forces: bool) -> Result<(), EnvError> {
        self.call(|api, model, data| {
            for _ in 0..steps {
                // SAFETY: `call` passes the live model and its simulation.
                unsafe { (api.mj_step)(model, data) };
            }
            if contact_forces {
                // SAFETY: as above.
                unsafe { (api.mj_rnePostConstraint)(model, data) };
            }
        })
    }

    /// Everything that the next step depends on, the solver's warm start included
    /// (`mj_getState` with `mjSTATE_INTEGRATION`).
    pub fn integration_state(&self) -> Vec<f64> {
        self.state(layout::state::INTEGRATION)
    }

    /// Continues from [`Data::integration_state`]. Derived quantities (`xpos`, `cvel`, ...) stay as they
    /// were until the next step.
    ///
    /// # Errors
    /// [`EnvError::BadState`] for another length, [`EnvError::MujocoFailed`].
    pub fn set_integration_state(&mut self, state: &[f64]) -> Result<(), EnvError> {
        self.set_state(layout::state::INTEGRATION, state)
    }

    /// Numbers in an [integration state](Data::integration_state).
    pub fn integration_state_len(&self) -> usize {
        self.state_len(layout::state::INTEGRATION)
    }

    /// Positions `[nq]`.
    pub fn qpos(&self) -> &[f64] {
        self.numbers(layout::data::QPOS, self.model.nq)
    }

    /// Positions to write to `[nq]`.
    pub fn qpos_mut(&mut self) -> &mut [f64] {
        self.numbers_mut(layout::data::QPOS, self.model.nq)
    }

    /// Velocities `[nv]`.
    pub fn qvel(&self) -> &[f64] {
        self.numbers(layout::data::QVEL, self.model.nv)
    }

    /// Velocities to write to `[nv]`.
    pub fn qvel_mut(&mut self) -> &mut [f64] {
        self.numbers_mut(layout::data::QVEL, self.model.nv)
    }

    /// Controls `[nu]`.
    pub fn ctrl(&self) -> &[f64] {
        self.numbers(layout::data::CTRL, self.model.nu)
    }

    /// Controls to write to `[nu]`.
    pub fn ctrl_mut(&mut self) -> &mut [f64] {
        self.numbers_mut(layout::data::CTRL, self.model.nu)
    }

    /// Position of each body's frame `[nbody * 3]`, as the last step left it.
    pub fn xpos(&self) -> &[f64] {
        self.numbers(layout::data::XPOS, 3 * self.model.nbody)
    }

    /// Rotation of each body's frame `[nbody * 4]`, as the last step left it.
    pub fn xquat(&self) -> &[f64] {
        self.numbers(layout::data::XQUAT, 4 * self.model.nbody)
    }

    /// What the sensors measured `[nsensordata]`, as the last step left it.
    pub fn sensordata(&self) -> &[f64] {
        self.numbers(layout::data::SENSORDATA, self.model.nsensordata)
    }

    /// Position of each body's centre of mass `[nbody * 3]`, as the last step left it.
    pub fn xipos(&self) -> &[f64] {
        self.numbers(layout::data::XIPOS, 3 * self.model.nbody)
    }

    /// Inertia and mass of each body about the centre of mass of its tree `[nbody * 10]`.
    pub fn cinert(&self) -> &[f64] {
        self.numbers(layout::data::CINERT, 10 * self.model.nbody)
    }

    /// Velocity of each body at the same point, rotation first `[nbody * 6]`.
    pub fn cvel(&self) -> &[f64] {
        self.numbers(layout::data::CVEL, 6 * self.model.nbody)
    }

    /// Actuator forces in joint space `[nv]`.
    pub fn qfrc_actuator(&self) -> &[f64] {
        self.numbers(layout::data::QFRC_ACTUATOR, self.model.nv)
    }

    /// Constraint forces in joint space `[nv]`.
    pub fn qfrc_constraint(&self) -> &[f64] {
        self.numbers(layout::data::QFRC_CONSTRAINT, self.model.nv)
    }

    /// Position of each site `[nsite * 3]`, as the last step left it.
    pub fn site_xpos(&self) -> &[f64] {
        self.numbers(layout::data::SITE_XPOS, 3 * self.model.nsite)
    }

    /// External forces on each body, rotation first `[nbody * 6]`.
    pub fn cfrc_ext(&self) -> &[f64] {
        self.numbers(layout::data::CFRC_EXT, 6 * self.model.nbody)
    }

    pub(super) fn state_len(&self, parts: c_int) -> usize {
        // SAFETY: the model is alive.
        let len = unsafe { (self.model.api.mj_stateSize)(self.model.ptr.as_ptr(), parts) };
        usize::try_from(len).unwrap_or(0)
    }

    pub(super) fn state(&self, parts: c_int) -> Vec<f64> {
        let mut state = vec![0.0; self.state_len(parts)];
        let (model, data) = (self.model.ptr.as_ptr(), self.ptr.as_ptr());
        // SAFETY: both are alive and the buffer has the length that mj_stateSize gives for these parts.
        unsafe { (self.model.api.mj_getState)(model, data, state.as_mut_ptr(), parts) };
        state
    }

    pub(super) fn set_state(&mut self, parts: c_int, state: &[f64]) -> Result<(), EnvError> {
        let len = self.state_len(parts);
        if state.len() != len {
            return Err(EnvError::BadState {
                id: "a MuJoCo simulation".to_owned(),
                reason: format!("{} numbers, the model has {len}", state.len()),
            });
        }
        self.call(|api, model, data| {
            // SAFETY: both are alive and the buffer has the length that mj_stateSize gives for these parts.
            unsafe { (api.mj_setState)(model, data, state.as_ptr(), parts) }
        })
    }

    /// Calls into MuJoCo with the simulation, unless an earlier call failed.
    pub(super) fn call(
        &mut self,
        calls: impl FnOnce(&Api, *const Opaque, *mut Opaque),
    ) -> Result<(), EnvError> {
        if let Some(message) = &self.failed {
            let message = message.clone();
            return Err(EnvError::MujocoFailed { message });
        }
        let (model, data) = (self.model.ptr.as_ptr(), self.ptr.as_ptr());
        let result = guard(|| calls(&self.model.api, model, data));
        if let Err(EnvError::MujocoFailed { message }) = &result {
            self.failed = Some(message.clone());
        }
        result
    }

    /// The `len` numbers of the field at `offset`, one of [`layout::data`].
    pub(super) fn numbers(&self, offset: usize, len: usize) -> &[f64] {
        // SAFETY: 3.17.0 keeps a pointer to that many numbers there, as long as the simulation lives.
        unsafe { numbers(self.ptr, offset, len) }
    }

    /// As [`Data::numbers`], to be written.
    pub(super) fn numbers_mut(&mut self, offset: usize, len: usize) -> &mut [f64] {
        // SAFETY: as in `numbers`, and `&mut self` makes the access exclusive.
        unsafe { numbers_mut(self.ptr, offset, len) }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: the pointer came from mj_makeData and is freed once, before the model.
        unsafe { (self.model.api.mj_deleteData)(self.ptr.as_ptr()) }
    }
}

/// The `len` numbers that the pointer at `offset` points to.
///
/// # Safety
/// There must be such a pointer, to so many numbers that live and are not written to for `'a`.
unsafe fn numbers<'a>(base: NonNull<Opaque>, offset: usize, len: usize) -> &'a [f64] {
    // SAFETY: the caller's promise; an empty slice does not need a valid pointer, which MuJoCo may not have.
    unsafe {
        let start: *const f64 = base.byte_add(offset).cast().read();
        match len {
            0 => &[],
            _ => std::slice::from_raw_parts(start, len),
        }
    }
}

/// As [`numbers`], to write to.
///
/// # Safety
/// There must be such a pointer, to so many numbers that live and that nobody else reads or writes to for `'a`.
unsafe fn numbers_mut<'a>(base: NonNull<Opaque>, offset: usize, len: usize) -> &'a mut [f64] {
    // SAFETY: the caller's promise; an empty slice does not need a valid pointer, which MuJoCo may not have.
    unsafe {
        let start: *mut f64 = base.byte_add(offset).cast().read();
        match len {
            0 => &mut [],
            _ => std::slice::from_raw_parts_mut(start, len),
        }
    }
}
