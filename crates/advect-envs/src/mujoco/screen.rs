//! Frames of MuJoCo simulations, drawn by MuJoCo into an off-screen buffer.
#![allow(unsafe_code)] // calls into MuJoCo, see `dl`

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

use super::dl::{Api, Opaque, Rect, guard};
use super::egl::Context;
use super::layout;
use super::sim::{Data, Model};
use crate::pixels::check_size;
use crate::{EnvError, Image};

/// Shapes that a frame can hold; a kitchen has some 500.
const MOST_SHAPES: c_int = 2000;
/// Screens that a thread keeps; to draw a further model, the one not used for longest goes.
const KEPT: usize = 4;
/// `mjCAT_ALL`: all shapes.
const EVERYTHING: c_int = 7;
/// `mjFB_OFFSCREEN`
const OFFSCREEN: c_int = 1;
/// `mjFONTSCALE_50`: the smallest font, which is not used.
const FONT: c_int = 50;
/// `mjOBJ_CAMERA`
const CAMERA_OBJECT: c_int = 7;
/// `mjCAMERA_FIXED`: a camera of the model, even if it moves with a body.
const MODELS_CAMERA: c_int = 2;

/// `mjvCamera`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Camera {
    pub(super) kind: c_int,
    pub(super) fixed_id: c_int,
    pub(super) track_body: c_int,
    pub(super) look_at: [f64; 3],
    pub(super) distance: f64,
    pub(super) azimuth: f64,
    pub(super) elevation: f64,
    pub(super) orthographic: c_int,
}

/// Zeroed memory for a struct of MuJoCo's, aligned for f64, with a margin behind it.
pub(super) struct Block {
    words: Vec<u64>,
    size: usize,
}

/// Bytes behind a struct that must stay zero.
const MARGIN: usize = 256;

impl Block {
    pub(super) fn new(size: usize) -> Self {
        let words = vec![0; (size + MARGIN).div_ceil(8)];
        Self { words, size }
    }

    pub(super) fn ptr(&mut self) -> *mut Opaque {
        self.words.as_mut_ptr().cast()
    }

    /// The int at `offset`, 0 outside.
    pub(super) fn int(&self, offset: usize) -> c_int {
        let mut bytes = [0; 4];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = self.byte(offset + index);
        }
        c_int::from_ne_bytes(bytes)
    }

    /// The byte at `offset`, 0 outside.
    pub(super) fn byte(&self, offset: usize) -> u8 {
        let word = self.words.get(offset / 8).copied().unwrap_or(0);
        word.to_ne_bytes()[offset % 8]
    }

    fn clear_byte(&mut self, offset: usize) {
        if let Some(word) = self.words.get_mut(offset / 8) {
            let mut bytes = word.to_ne_bytes();
            bytes[offset % 8] = 0;
            *word = u64::from_ne_bytes(bytes);
        }
    }

    /// Whether MuJoCo wrote nothing behind the struct.
    pub(super) fn is_contained(&self) -> bool {
        (self.size..8 * self.words.len()).all(|offset| self.byte(offset) == 0)
    }
}

/// An `mjvScene`: the shapes of a simulation, with lights and cameras.
pub(super) struct Scene {
    api: Arc<Api>,
    pub(super) block: Block,
}

impl Scene {
    /// A scene with room for `most` shapes.
    ///
    /// # Errors
    /// [`EnvError::MujocoFailed`].
    pub(super) fn new(model: &Model, most: c_int) -> Result<Self, EnvError> {
        let api = Arc::clone(model.api());
        let mut block = Block::new(layout::scene::SIZE);
        let (scene, ptr) = (block.ptr(), model.as_ptr());
        // SAFETY: the block is as large as an mjvScene, and the model is alive.
        guard(|| unsafe {
            (api.mjv_defaultScene)(scene);
            (api.mjv_makeScene)(ptr, scene, most);
        })?;
        Ok(Self { api, block })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // SAFETY: the scene was made by mjv_makeScene and is freed once.
        unsafe { (self.api.mjv_freeScene)(self.block.ptr()) }
    }
}

/// An `mjrContext`: the buffers and textures of a model in the OpenGL context of this thread.
struct Buffers {
    api: Arc<Api>,
    block: Block,
}

impl Buffers {
    /// The OpenGL context of this thread has to be current.
    fn new(model: &Model) -> Result<Self, EnvError> {
        let api = Arc::clone(model.api());
        let mut buffers = Self {
            api,
            block: Block::new(layout::buffers::SIZE),
        };
        let (api, context, ptr) = (&buffers.api, buffers.block.ptr(), model.as_ptr());
        // SAFETY: the block is as large as an mjrContext, the model is alive, and OpenGL is current.
        guard(|| unsafe {
            (api.mjr_defaultContext)(context);
            (api.mjr_makeContext)(ptr, context, FONT);
            (api.mjr_setBuffer)(OFFSCREEN, context);
        })?;
        match buffers.block.int(layout::buffers::CURRENT) {
            OFFSCREEN => Ok(buffers),
            _ => Err(failed("this OpenGL has no off-screen buffer")),
        }
    }

    fn resize(&mut self, width: usize, height: usize) -> Result<(), EnvError> {
        let (api, context) = (&self.api, self.block.ptr());
        // SAFETY: the context is made; check_size keeps both sizes within an int.
        guard(|| unsafe { (api.mjr_resizeOffscreen)(width as c_int, height as c_int, context) })?;
        let found = [layout::buffers::WIDTH, layout::buffers::HEIGHT].map(|at| self.block.int(at));
        match found == [width as c_int, height as c_int] {
            true => Ok(()),
            false => Err(failed(
                "the off-screen buffer has another size than asked for",
            )),
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: the context was set by mjr_defaultContext, which makes this call valid at any later time; freed once.
        unsafe { (self.api.mjr_freeContext)(self.block.ptr()) }
    }
}

/// All that drawing one model takes.
struct Screen {
    buffers: Buffers,
    scene: Scene,
    option: Block,
    perturb: Block,
    camera: Camera,
    /// A copy of the simulation, for the positions that follow from its state.
    copy: Data,
}

impl Screen {
    fn new(model: &Arc<Model>) -> Result<Self, EnvError> {
        let mut scene = Scene::new(model, MOST_SHAPES)?;
        for flag in [layout::scene::SHADOW, layout::scene::REFLECTION] {
            scene.block.clear_byte(layout::scene::FLAGS + flag);
        }
        let [option, perturb] = defaults(model.api());
        Ok(Self {
            buffers: Buffers::new(model)?,
            scene,
            option,
            perturb,
            camera: camera(model),
            copy: Data::new(Arc::clone(model))?,
        })
    }

    /// Draws `data`, whose model is of the family of this screen's, at the positions `qpos`.
    fn draw(
        &mut self,
        data: &Data,
        qpos: &[f64],
        width: usize,
        height: usize,
    ) -> Result<Image, EnvError> {
        self.copy.follow(data.model());
        self.copy.set_integration_state(&data.integration_state())?;
        self.copy.qpos_mut().copy_from_slice(qpos);
        self.copy.forward()?;
        self.buffers.resize(width, height)?;
        self.update()?;
        let mut image = Image::filled(width, height, [0; 3])?;
        let viewport = Rect::of(width as c_int, height as c_int);
        let (api, bytes) = (&self.buffers.api, image.bytes_mut().as_mut_ptr());
        let (context, scene) = (self.buffers.block.ptr(), self.scene.block.ptr());
        // SAFETY: scene and context are made, OpenGL is current, and the image has three bytes for each pixel of the viewport.
        guard(|| unsafe {
            (api.mjr_setBuffer)(OFFSCREEN, context);
            (api.mjr_render)(viewport, scene, context);
            (api.mjr_readPixels)(bytes, std::ptr::null_mut(), viewport, context);
        })?;
        turn_over(&mut image);
        Ok(image)
    }

    /// Puts the shapes of the copy into the scene.
    fn update(&mut self) -> Result<(), EnvError> {
        let (option, perturb) = (self.option.ptr(), self.perturb.ptr());
        let (scene, camera) = (self.scene.block.ptr(), &raw mut self.camera);
        self.copy.call(|api, model, data| {
            // SAFETY: `call` passes the live model and its simulation, and all others are structs that their functions filled.
            unsafe {
                (api.mjv_updateScene)(
                    model,
                    data,
                    option,
                    perturb,
                    camera.cast::<c_void>(),
                    EVERYTHING,
                    scene,
                );
            }
        })
    }
}

/// The default `mjvOption` and `mjvPerturb`.
pub(super) fn defaults(api: &Api) -> [Block; 2] {
    let mut option = Block::new(layout::OPTION_SIZE);
    let mut perturb = Block::new(layout::PERTURB_SIZE);
    // SAFETY: the blocks are as large as these structs.
    unsafe {
        (api.mjv_defaultOption)(option.ptr());
        (api.mjv_defaultPerturb)(perturb.ptr());
    }
    [option, perturb]
}

/// Whether the default `mjrContext` stays within its size.
pub(super) fn default_buffers(api: &Api) -> bool {
    let mut block = Block::new(layout::buffers::SIZE);
    // SAFETY: the block is as large as an mjrContext.
    unsafe { (api.mjr_defaultContext)(block.ptr()) };
    block.is_contained()
}

/// The free camera as the model has it.
pub(super) fn free_camera(model: &Model) -> Camera {
    let mut camera = Camera::default();
    let (ptr, target) = (model.as_ptr(), (&raw mut camera).cast());
    // SAFETY: the model is alive, and `Camera` is laid out as an mjvCamera.
    unsafe { (model.api().mjv_defaultFreeCamera)(ptr, target) };
    camera
}

/// The camera where the environment puts it, or `track`, with which Gymnasium's models follow their robot; the free camera if the model has
/// neither.
fn camera(model: &Model) -> Camera {
    let free = free_camera(model);
    if let Some(view) = model.view() {
        return Camera {
            look_at: view.look_at,
            distance: view.distance,
            azimuth: view.azimuth,
            elevation: view.elevation,
            ..free
        };
    }
    // SAFETY: the model is alive and the name is NUL-terminated.
    let id = unsafe { (model.api().mj_name2id)(model.as_ptr(), CAMERA_OBJECT, c"track".as_ptr()) };
    match id >= 0 {
        true => Camera {
            kind: MODELS_CAMERA,
            fixed_id: id,
            ..free
        },
        false => free,
    }
}

/// OpenGL's rows go from bottom to top.
fn turn_over(image: &mut Image) {
    let (row, rows) = (3 * image.width(), image.height());
    let (upper, lower) = image.bytes_mut().split_at_mut(rows / 2 * row);
    let lower = lower.rchunks_exact_mut(row);
    for (above, below) in upper.chunks_exact_mut(row).zip(lower) {
        above.swap_with_slice(below);
    }
}

/// The screens of a thread, last used last, in its one OpenGL context.
struct Screens {
    screens: Vec<Screen>,
    context: Context,
}

impl Screens {
    fn draw(
        &mut self,
        data: &Data,
        qpos: &[f64],
        width: usize,
        height: usize,
    ) -> Result<Image, EnvError> {
        self.context.make_current()?;
        let mut screen = self.take(data.model())?;
        // a screen whose drawing failed is not used again
        let image = screen.draw(data, qpos, width, height)?;
        self.screens.push(screen);
        Ok(image)
    }

    fn take(&mut self, model: &Arc<Model>) -> Result<Screen, EnvError> {
        let known = |screen: &Screen| screen.copy.model().family() == model.family();
        if let Some(index) = self.screens.iter().position(known) {
            return Ok(self.screens.remove(index));
        }
        if self.screens.len() == KEPT {
            self.screens.remove(0);
        }
        Screen::new(model)
    }
}

impl Drop for Screens {
    fn drop(&mut self) {
        // OpenGL ignores calls without a context, and its objects go with the context at the latest
        if self.context.make_current().is_ok() {
            self.screens.clear();
        }
    }
}

thread_local! {
    static SCREENS: RefCell<Option<Screens>> = const { RefCell::new(None) };
}

/// Draws the state of a simulation at the positions `qpos [nq]`; it works on a copy.
///
/// # Errors
/// [`EnvError::BadFrame`], [`EnvError::EglUnavailable`], [`EnvError::EglFailed`], [`EnvError::MujocoFailed`].
pub(super) fn render(
    data: &Data,
    qpos: &[f64],
    width: usize,
    height: usize,
) -> Result<Image, EnvError> {
    check_size(width, height)?;
    let draw = |screens: &RefCell<Option<Screens>>| {
        let mut screens = screens
            .try_borrow_mut()
            .map_err(|_| failed("a frame is being drawn on this thread"))?;
        if screens.is_none() {
            *screens = Some(Screens {
                screens: Vec::new(),
                context: Context::new()?,
            });
        }
        match &mut *screens {
            Some(screens) => screens.draw(data, qpos, width, height),
            None => Err(failed("this thread has no screen")),
        }
    };
    SCREENS
        .try_with(draw)
        .unwrap_or_else(|_| Err(failed("the thread is ending")))
}

fn failed(reason: &str) -> EnvError {
    EnvError::EglFailed {
        reason: reason.to_owned(),
    }
}
