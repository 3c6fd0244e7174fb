//! Opening the MuJoCo library at run time, its functions, and its messages.
#![allow(unsafe_code)] // calls into a C library: the one reason this crate has for `unsafe`

use std::any::Any;
use std::collections::VecDeque;
use std::error::Error;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libloading::Library;

use super::locate::Installation;
use super::{layout, self_test};
use crate::EnvError;

/// An `mjModel`, `mjData`, `mjVFS` or one of the structs of drawing, never looked into except through [`layout`].
pub(super) type Opaque = c_void;

type LogHandler = unsafe extern "C-unwind" fn(*const LogMessage);

/// The start of MuJoCo's `mjLogMessage`.
#[repr(C)]
pub(super) struct LogMessage {
    level: c_int,
    topic: c_int,
    subject: [c_char; 1024],
}

/// MuJoCo's `mjrRect`, in pixels from the lower left.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Rect {
    left: c_int,
    bottom: c_int,
    width: c_int,
    height: c_int,
}

impl Rect {
    /// A rectangle of this size in the corner.
    pub(super) fn of(width: c_int, height: c_int) -> Self {
        Self {
            left: 0,
            bottom: 0,
            width,
            height,
        }
    }
}

const LOG_WARNING: c_int = 2;
const LOG_ERROR: c_int = 3;
const KEPT_WARNINGS: usize = 64;

static WARNINGS: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
static LOADED: Mutex<Option<Arc<Api>>> = Mutex::new(None);

/// Declares the table of functions and how it is filled from the library.
macro_rules! api {
    ($($name:ident: fn($($arg:ty),*) $(-> $ret:ty)?;)*) => {
        /// The functions of an opened library whose version was checked.
        #[expect(non_snake_case, reason = "MuJoCo's names")]
        pub(super) struct Api {
            $(pub(super) $name: unsafe extern "C-unwind" fn($($arg),*) $(-> $ret)?,)*
            /// Keeps the functions valid.
            _library: Library,
        }

        impl Api {
            fn bind(library: Library) -> Result<Self, String> {
                Ok(Self {
                    $($name: {
                        // SAFETY: the signature is that of MuJoCo 3.17.0's mujoco.h, and only that version is bound.
                        let symbol = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                        *symbol.map_err(|error| words(stringify!($name), &error))?
                    },)*
                    _library: library,
                })
            }
        }
    };
}

api! {
    mj_defaultVFS: fn(*mut *mut Opaque);
    mj_addBufferVFS: fn(*mut *mut Opaque, *const c_char, *const c_void, c_int) -> c_int;
    mj_deleteVFS: fn(*mut *mut Opaque);
    mj_loadXML: fn(*const c_char, *const *mut Opaque, *mut c_char, c_int) -> *mut Opaque;
    mj_copyModel: fn(*mut Opaque, *const Opaque) -> *mut Opaque;
    mj_deleteModel: fn(*mut Opaque);
    mj_makeData: fn(*const Opaque) -> *mut Opaque;
    mj_deleteData: fn(*mut Opaque);
    mj_resetData: fn(*const Opaque, *mut Opaque);
    mj_forward: fn(*const Opaque, *mut Opaque);
    mj_step: fn(*const Opaque, *mut Opaque);
    mj_rnePostConstraint: fn(*const Opaque, *mut Opaque);
    mj_jacSite: fn(*const Opaque, *const Opaque, *mut f64, *mut f64, c_int);
    mj_stateSize: fn(*const Opaque, c_int) -> c_int;
    mj_getState: fn(*const Opaque, *const Opaque, *mut f64, c_int);
    mj_setState: fn(*const Opaque, *mut Opaque, *const f64, c_int);
    mj_name2id: fn(*const Opaque, c_int, *const c_char) -> c_int;
    mjv_defaultFreeCamera: fn(*const Opaque, *mut Opaque);
    mjv_defaultOption: fn(*mut Opaque);
    mjv_defaultPerturb: fn(*mut Opaque);
    mjv_defaultScene: fn(*mut Opaque);
    mjv_makeScene: fn(*const Opaque, *mut Opaque, c_int);
    mjv_freeScene: fn(*mut Opaque);
    mjv_updateScene: fn(*const Opaque, *mut Opaque, *const Opaque, *const Opaque, *mut Opaque, c_int, *mut Opaque);
    mjr_defaultContext: fn(*mut Opaque);
    mjr_makeContext: fn(*const Opaque, *mut Opaque, c_int);
    mjr_freeContext: fn(*mut Opaque);
    mjr_resizeOffscreen: fn(c_int, c_int, *mut Opaque);
    mjr_setBuffer: fn(c_int, *mut Opaque);
    mjr_render: fn(Rect, *mut Opaque, *const Opaque);
    mjr_readPixels: fn(*mut u8, *mut f32, Rect, *const Opaque);
    mju_setLogHandler: fn(LogHandler) -> Option<LogHandler>;
}

impl Api {
    /// The library of this process: opened, checked and tested at the first call.
    ///
    /// # Errors
    /// [`EnvError::MujocoUnavailable`], or as [`Api::open`]. Failures are not remembered.
    pub(super) fn get() -> Result<Arc<Self>, EnvError> {
        let mut loaded = lock(&LOADED);
        if let Some(api) = &*loaded {
            return Ok(Arc::clone(api));
        }
        let api = Self::open(&Installation::locate()?.library)?;
        *loaded = Some(Arc::clone(&api));
        Ok(api)
    }

    /// Opens the library at `path`.
    ///
    /// # Errors
    /// [`EnvError::MujocoVersion`] for another version, [`EnvError::MujocoLoad`] for a file that is no
    /// MuJoCo library or fails the self-test.
    pub(super) fn open(path: &Path) -> Result<Arc<Self>, EnvError> {
        let unusable = |reason: String| EnvError::MujocoLoad {
            path: path.to_owned(),
            reason,
        };
        // SAFETY: opening a library runs its initialisers; the caller chose the file, and MuJoCo's only set tables.
        let library = unsafe { Library::new(path) }.map_err(|e| unusable(words("dlopen", &e)))?;
        check_version(&library, path)?;
        let api = Self::bind(library).map_err(unusable)?;
        // SAFETY: the handler has the signature that 3.17.0 calls, and is thread-safe.
        unsafe { (api.mju_setLogHandler)(on_message) };
        let api = Arc::new(api);
        self_test::run(&api).map_err(unusable)?;
        Ok(api)
    }
}

/// Asks for the version before anything else of the library is trusted.
fn check_version(library: &Library, path: &Path) -> Result<(), EnvError> {
    type Version = unsafe extern "C" fn() -> c_int;
    // SAFETY: `int mj_version(void)` has had this signature in every release.
    let version = unsafe { library.get::<Version>(b"mj_version\0") };
    let version = version.map_err(|error| EnvError::MujocoLoad {
        path: path.to_owned(),
        reason: words("mj_version", &error),
    })?;
    // SAFETY: as above; it returns a constant.
    let found = unsafe { version() };
    if found == layout::VERSION {
        return Ok(());
    }
    Err(EnvError::MujocoVersion {
        path: path.to_owned(),
        found,
        wanted: layout::VERSION,
    })
}

/// What was looked for and what the dynamic loader said.
fn words(what: &str, error: &libloading::Error) -> String {
    match error.source() {
        Some(source) => format!("{what}: {source}"),
        None => format!("{what}: {error}"),
    }
}

/// An error of MuJoCo on its way through MuJoCo's frames to [`guard`].
struct Raised(String);

/// Receives every message of MuJoCo; the library then neither prints nor writes `MUJOCO_LOG.TXT`.
///
/// An error must not return to MuJoCo, which would end the process: it unwinds to [`guard`]. MuJoCo's
/// functions on the way are C with unwind tables, so this is what `C-unwind` defines.
unsafe extern "C-unwind" fn on_message(message: *const LogMessage) {
    // SAFETY: MuJoCo passes a valid message for the duration of the call.
    let message = unsafe { &*message };
    // SAFETY: the subject is a NUL-terminated string within its array.
    let text = unsafe { CStr::from_ptr(message.subject.as_ptr()) };
    let text = text.to_string_lossy().into_owned();
    match message.level {
        LOG_ERROR => resume_unwind(Box::new(Raised(text))),
        LOG_WARNING => keep_warning(text),
        _ => {}
    }
}

fn keep_warning(text: String) {
    let mut warnings = lock(&WARNINGS);
    if warnings.len() == KEPT_WARNINGS {
        warnings.pop_front();
    }
    warnings.push_back(text);
}

/// Takes the warnings that MuJoCo gave since the last call, oldest first, at most 64.
///
/// Among them is that of an unstable simulation: MuJoCo then resets the state by itself and goes on, as
/// it does under Gymnasium.
pub fn take_warnings() -> Vec<String> {
    lock(&WARNINGS).drain(..).collect()
}

/// Runs calls into MuJoCo, turning an error that it raises into [`EnvError::MujocoFailed`].
pub(super) fn guard<T>(calls: impl FnOnce() -> T) -> Result<T, EnvError> {
    catch_unwind(AssertUnwindSafe(calls)).map_err(failed)
}

fn failed(payload: Box<dyn Any + Send>) -> EnvError {
    match payload.downcast::<Raised>() {
        Ok(raised) => EnvError::MujocoFailed { message: raised.0 },
        Err(other) => resume_unwind(other),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
