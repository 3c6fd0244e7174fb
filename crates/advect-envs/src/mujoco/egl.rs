//! OpenGL without a window: libEGL, opened at run time, and one context for each thread.
#![allow(unsafe_code)] // calls into a C library, see `dl`

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::{Arc, Mutex};

use libloading::Library;

use super::dl::lock;
use crate::EnvError;

const FILE: &str = "libEGL.so.1";

// values of the EGL headers
const NONE: c_int = 0x3038;
const SURFACE_TYPE: c_int = 0x3033;
const PBUFFER_BIT: c_int = 0x0001;
const RENDERABLE_TYPE: c_int = 0x3040;
const OPENGL_BIT: c_int = 0x0008;
const RED_SIZE: c_int = 0x3024;
const GREEN_SIZE: c_int = 0x3023;
const BLUE_SIZE: c_int = 0x3022;
const DEPTH_SIZE: c_int = 0x3025;
const OPENGL_API: c_uint = 0x30A2;
const PLATFORM_DEVICE: c_uint = 0x313F;
const PLATFORM_SURFACELESS: c_uint = 0x31DD;
const MOST_DEVICES: usize = 16;

type Handle = *mut c_void;
type QueryDevices = unsafe extern "C" fn(c_int, *mut Handle, *mut c_int) -> c_uint;
type PlatformDisplay = unsafe extern "C" fn(c_uint, Handle, *const c_int) -> Handle;

/// The functions of libEGL.
struct Functions {
    get_proc_address: unsafe extern "C" fn(*const c_char) -> Handle,
    get_error: unsafe extern "C" fn() -> c_int,
    initialize: unsafe extern "C" fn(Handle, *mut c_int, *mut c_int) -> c_uint,
    choose_config:
        unsafe extern "C" fn(Handle, *const c_int, *mut Handle, c_int, *mut c_int) -> c_uint,
    bind_api: unsafe extern "C" fn(c_uint) -> c_uint,
    create_context: unsafe extern "C" fn(Handle, Handle, Handle, *const c_int) -> Handle,
    destroy_context: unsafe extern "C" fn(Handle, Handle) -> c_uint,
    make_current: unsafe extern "C" fn(Handle, Handle, Handle, Handle) -> c_uint,
    /// Keeps the functions valid, and visible to MuJoCo, which looks for them itself.
    _library: Library,
}

/// A display that gives contexts for desktop OpenGL.
struct Egl {
    functions: Functions,
    display: Handle,
    config: Handle,
}

// SAFETY: the handles are names that EGL looks up under its own lock; every function here may be called from any thread.
unsafe impl Send for Egl {}
// SAFETY: as above.
unsafe impl Sync for Egl {}

static OPENED: Mutex<Option<Arc<Egl>>> = Mutex::new(None);

/// Opens libEGL for all libraries of the process to see.
#[cfg(unix)]
fn open_library() -> Result<Library, libloading::Error> {
    use libloading::os::unix::{Library as UnixLibrary, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: opening a library runs its initialisers; those of libEGL only set tables.
    unsafe { UnixLibrary::open(Some(FILE), RTLD_NOW | RTLD_GLOBAL) }.map(Library::from)
}

#[cfg(not(unix))]
fn open_library() -> Result<Library, libloading::Error> {
    // SAFETY: as above.
    unsafe { Library::new(FILE) }
}

impl Functions {
    fn load() -> Result<Self, EnvError> {
        let library = open_library().map_err(|error| unavailable(words(&error)))?;
        Self::bind(library).map_err(|error| unavailable(words(&error)))
    }

    fn bind(library: Library) -> Result<Self, libloading::Error> {
        // SAFETY: the signatures are those of EGL 1.4, which every later version keeps.
        unsafe {
            Ok(Self {
                get_proc_address: *library.get(b"eglGetProcAddress\0")?,
                get_error: *library.get(b"eglGetError\0")?,
                initialize: *library.get(b"eglInitialize\0")?,
                choose_config: *library.get(b"eglChooseConfig\0")?,
                bind_api: *library.get(b"eglBindAPI\0")?,
                create_context: *library.get(b"eglCreateContext\0")?,
                destroy_context: *library.get(b"eglDestroyContext\0")?,
                make_current: *library.get(b"eglMakeCurrent\0")?,
                _library: library,
            })
        }
    }

    /// The function of an extension, null if there is none.
    fn extension(&self, name: &str) -> Handle {
        let Ok(name) = CString::new(name) else {
            return ptr::null_mut();
        };
        // SAFETY: the name is NUL-terminated.
        unsafe { (self.get_proc_address)(name.as_ptr()) }
    }

    /// Displays to try: those of the graphics devices, then Mesa's without a device.
    fn displays(&self) -> Vec<Handle> {
        let open = self.extension("eglGetPlatformDisplayEXT");
        if open.is_null() {
            return Vec::new();
        }
        // SAFETY: a non-null address of this name has this signature.
        let open: PlatformDisplay = unsafe { std::mem::transmute(open) };
        let places = self.devices().into_iter().map(|d| (PLATFORM_DEVICE, d));
        places
            .chain([(PLATFORM_SURFACELESS, ptr::null_mut())])
            // SAFETY: devices come from EGL, the surfaceless platform takes null, and no attributes are given.
            .map(|(platform, place)| unsafe { open(platform, place, ptr::null()) })
            .filter(|display| !display.is_null())
            .collect()
    }

    fn devices(&self) -> Vec<Handle> {
        let query = self.extension("eglQueryDevicesEXT");
        if query.is_null() {
            return Vec::new();
        }
        // SAFETY: a non-null address of this name has this signature.
        let query: QueryDevices = unsafe { std::mem::transmute(query) };
        let (mut devices, mut count) = ([ptr::null_mut(); MOST_DEVICES], 0);
        // SAFETY: the array has the length given.
        let done = unsafe { query(MOST_DEVICES as c_int, devices.as_mut_ptr(), &mut count) };
        let count = if done == 0 { 0 } else { count };
        let count = usize::try_from(count).unwrap_or(0).min(MOST_DEVICES);
        devices[..count].to_vec()
    }

    /// Opens `display` and returns a configuration of it for off-screen desktop OpenGL.
    fn config(&self, display: Handle) -> Option<Handle> {
        let wanted = [
            [SURFACE_TYPE, PBUFFER_BIT],
            [RENDERABLE_TYPE, OPENGL_BIT],
            [RED_SIZE, 8],
            [GREEN_SIZE, 8],
            [BLUE_SIZE, 8],
            [DEPTH_SIZE, 24],
            [NONE, NONE],
        ];
        let (mut config, mut count) = (ptr::null_mut(), 0);
        // SAFETY: the display is EGL's, the version may be null, the attributes end with NONE, and there is room for one configuration.
        let found = unsafe {
            (self.initialize)(display, ptr::null_mut(), ptr::null_mut()) != 0
                && (self.choose_config)(
                    display,
                    wanted.as_flattened().as_ptr(),
                    &mut config,
                    1,
                    &mut count,
                ) != 0
        };
        (found && count > 0).then_some(config)
    }

    fn failed(&self, call: &str) -> EnvError {
        // SAFETY: it may be called at any time.
        let code = unsafe { (self.get_error)() };
        EnvError::EglFailed {
            reason: format!("{call} failed with EGL error {code:#x}"),
        }
    }
}

impl Egl {
    /// The display of this process. Failures are not remembered.
    fn get() -> Result<Arc<Self>, EnvError> {
        let mut opened = lock(&OPENED);
        if let Some(egl) = &*opened {
            return Ok(Arc::clone(egl));
        }
        let egl = Arc::new(Self::open()?);
        *opened = Some(Arc::clone(&egl));
        Ok(egl)
    }

    fn open() -> Result<Self, EnvError> {
        let functions = Functions::load()?;
        let displays = functions.displays();
        let found = displays
            .into_iter()
            .find_map(|display| functions.config(display).map(|config| (display, config)));
        let (display, config) =
            found.ok_or_else(|| unavailable("no display gives off-screen OpenGL".to_owned()))?;
        Ok(Self {
            functions,
            display,
            config,
        })
    }
}

/// An OpenGL context. It belongs to the thread that made it.
pub(super) struct Context {
    egl: Arc<Egl>,
    handle: Handle,
}

impl Context {
    /// A context, current on this thread.
    ///
    /// # Errors
    /// [`EnvError::EglUnavailable`] without EGL or a display, [`EnvError::EglFailed`].
    pub(super) fn new() -> Result<Self, EnvError> {
        let egl = Egl::get()?;
        let functions = &egl.functions;
        // SAFETY: display and configuration are open, no context is shared with, and no attributes are given.
        let handle = unsafe {
            (functions.bind_api)(OPENGL_API);
            (functions.create_context)(egl.display, egl.config, ptr::null_mut(), ptr::null())
        };
        if handle.is_null() {
            return Err(functions.failed("eglCreateContext"));
        }
        let context = Self { egl, handle };
        context.make_current()?;
        Ok(context)
    }

    /// Makes the context that of this thread, whatever was current before. It has no surface: frames go to buffers of MuJoCo.
    ///
    /// # Errors
    /// [`EnvError::EglFailed`].
    pub(super) fn make_current(&self) -> Result<(), EnvError> {
        match self.bind(self.handle) {
            true => Ok(()),
            false => Err(self.egl.functions.failed("eglMakeCurrent")),
        }
    }

    fn bind(&self, context: Handle) -> bool {
        let none = ptr::null_mut();
        // SAFETY: the display is open, and the context is alive or null.
        unsafe { (self.egl.functions.make_current)(self.egl.display, none, none, context) != 0 }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.bind(ptr::null_mut());
        // SAFETY: the context is alive and destroyed once.
        unsafe { (self.egl.functions.destroy_context)(self.egl.display, self.handle) };
    }
}

fn unavailable(reason: String) -> EnvError {
    EnvError::EglUnavailable { reason }
}

fn words(error: &libloading::Error) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
